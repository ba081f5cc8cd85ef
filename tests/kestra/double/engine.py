"""What runs executions: it begins, kills and recovers them, and keeps every step on disk."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.kestra.double import course, records
from tests.kestra.double.children import Children
from tests.kestra.double.options import Options
from tests.kestra.double.outside import finished
from tests.kestra.double.pebble import PebbleError, render
from tests.kestra.double.script import Scripts
from tests.kestra.double.sources import COMMANDS, Flow
from tests.kestra.double.store import Record, Store


class Engine:
    """Works off executions, a thread for each, and keeps every step on disk."""

    def __init__(self, options: Options, store: Store, children: Children, variables: Mapping[str, Any]) -> None:
        self.options = options
        self.store = store
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.executions: dict[str, Record] = {record["id"]: record for record in store.executions()}
        self.stopping = False
        self._busy = 0  # tasks that are being run, or whose end is being written down
        self._children = children
        self._scripts = Scripts(self, children)
        self._secrets = variables
        self._threads: list[threading.Thread] = []

    def start(self, flow: Flow, inputs: Record, labels: list[Record]) -> Record:
        """Begin an execution of a flow."""
        record = records.blank(len(self.executions), flow.namespace, flow.id, flow.revision, flow.document)
        record["labels"] = records.labelled(record["id"], labels)
        with self.lock:
            self.store.keep_inputs(record["id"], inputs)
            self._keep(record)
        self.in_a_thread(lambda: course.run_through(self, record, flow))
        return record

    def recover(self, flow_of: Callable[[Record], Flow]) -> None:
        """Take up what was running when the last server ended.

        With the default strategy the children that were running are started again, and the rest after them; with
        NEVER such an execution stays RUNNING for ever (facts 11).
        """
        for record in list(self.executions.values()):
            if record["kind"] != "NORMAL" or records.is_over(record):
                continue
            if self.options.restart_strategy == "NEVER" and self._has_orphans(record):
                continue
            timer = threading.Timer(self.options.restart_after, course.run_through, (self, record, flow_of(record)))
            self._watch(timer)

    def in_a_thread(self, work: Callable[[], object]) -> None:
        """Do something in a thread of its own that `stop` waits for."""
        self._watch(threading.Thread(target=work, daemon=True))

    def kill(self, record: Record) -> None:
        """Kill an execution: SIGTERM to its children, and no word about whether they are gone (facts 11)."""
        with self.changed:
            if records.is_over(record):
                return
            for each in self.iterations(record):
                self._kill_runs(each)
                records.move(each, "KILLED")
                self._keep(each)
            flow_outputs = self._of_killed(record)
            self._kill_runs(record)
            if self.options.dialect == "2":
                records.move(record, "KILLING")
            records.move(record, "KILLED")
            record["outputs"] = flow_outputs
            self._keep(record)
            self.changed.notify_all()

    def begin_nothing(self) -> None:
        """Begin nothing more; what runs, runs on."""
        with self.changed:
            self.stopping = True
            self.changed.notify_all()

    def drain(self) -> None:
        """Give children that run the grace period, then SIGTERM (facts 11)."""
        with self.changed:
            self.changed.wait_for(lambda: self._busy == 0, self.options.grace)
        for key in self._children.living():
            self._children.terminate(key)

    def stop(self) -> None:
        """End at once, children too: a test leaves nothing behind."""
        self.begin_nothing()
        for thread in self._threads:
            if isinstance(thread, threading.Timer):
                thread.cancel()
        while any(thread.is_alive() for thread in self._threads):
            self._children.reap()
            for thread in list(self._threads):
                thread.join(0.05)

    def iterations(self, record: Record) -> list[Record]:
        """Return the executions that are a Loop's iterations and not over (facts 9)."""
        every = self.executions.values()
        return [each for each in every if each["parentId"] == record["id"] and not records.is_over(each)]

    def halted(self, record: Record) -> bool:
        """Whether nothing more may be begun for an execution."""
        return self.stopping or records.is_over(record)

    def variables(self, record: Record, **more: object) -> dict[str, Any]:
        """Return what an execution's expressions may speak of."""
        document = record["flow"]
        return {
            "inputs": self.store.inputs(record["parentId"] or record["id"]),
            "vars": document.get("variables") or {},
            "execution": {"id": record["id"]},
            "flow": {"id": record["flowId"], "namespace": record["namespace"]},
            "secrets": self._secrets,
            **more,
        }

    def log(self, record: Record, level: str, message: str, run: Record | None = None) -> None:
        """Add a line to an execution's log."""
        entry = {"level": level, "message": message, "taskId": None, "taskRunId": None, "attemptNumber": 0}
        if run:
            entry |= {"taskId": run["taskId"], "taskRunId": run["id"], "attemptNumber": run["attempts"] - 1}
        with self.lock:
            record["log"].append(entry)

    def keep(self, record: Record) -> None:
        """Write an execution down as it stands now."""
        with self.changed:
            self._keep(record)
            self.changed.notify_all()

    def begin(self, record: Record, task_id: str, value: str | None = None, **more: Any) -> Record:
        """Return the task run for a task, and a value; the one that is there already when it is run again."""
        with self.lock:
            for run in record["taskRuns"]:
                if run["taskId"] == task_id and run["value"] == value:
                    return self._again(record, run)
            run = records.task_run(task_id, value=value, **more)
            record["taskRuns"].append(run)
            self._keep(record)
            return run

    def iteration_of(self, parent: Record, index: int, value: str) -> Record:
        """Return the execution that is an iteration of a Loop; the one that is there already when it is run again."""
        with self.lock:
            for each in self.executions.values():
                if each["parentId"] == parent["id"] and each["item"]["index"] == index:
                    return each
            same = (parent[each] for each in ("namespace", "flowId", "flowRevision", "flow"))
            record = records.blank(len(self.executions), *same)
            record |= {"labels": parent["labels"], "kind": "LOOP", "parentId": parent["id"]}
            record["item"] = {"index": index, "value": value}
            records.move(record, "RUNNING")
            self._keep(record)
            return record

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count as at work: a server that stops waits for it."""
        with self.changed:
            self._busy += 1
        try:
            yield
        finally:
            with self.changed:
                self._busy -= 1
                self.changed.notify_all()

    def command(self, record: Record, task: Record, run: Record, variables: Mapping[str, Any]) -> str:
        """Run a script task; returns the state that its run came to."""
        return self._scripts.run(record, task, run, variables)

    def outputs(self, record: Record, variables: Mapping[str, Any]) -> Record:
        """Return a flow's outputs, rendered; raises PebbleError, and then there are none at all (facts 7)."""
        rendered = {}
        for output in record["flow"].get("outputs") or []:
            text = render(output["value"], variables)
            try:
                rendered[output["id"]] = json.loads(text) if output["type"] == "JSON" else text
            except ValueError:
                raise PebbleError(f"Invalid value for output '{output['id']}'") from None
        return rendered

    def _again(self, record: Record, run: Record) -> Record:
        if not records.is_over(run) and run["taskId"] in self._command_ids(record):
            run["attempts"] += 1
            self.log(record, "WARN", "Resubmit WorkerTask", run)
            self._keep(record)
        return run

    def _command_ids(self, record: Record) -> set[str]:
        tasks = record["flow"]["tasks"]
        every = [*tasks, *(inner for task in tasks for inner in task.get("tasks") or [])]
        return {task["id"] for task in every if task["type"] == COMMANDS}

    def _has_orphans(self, record: Record) -> bool:
        inside = [run for each in (record, *self.iterations(record)) for run in each["taskRuns"]]
        return any(not records.is_over(run) and run["taskId"] in self._command_ids(record) for run in inside)

    def ended(self, record: Record, run: Record, state: str, outputs: Record | None = None) -> str:
        """Write down that a task run is over, unless its execution was over before: then its result is lost."""
        with self.changed:
            if records.is_over(run) or records.is_over(record):
                return "HALTED"
            records.move(run, state)
            run["outputs"] = outputs
            self.keep(record)
            return state

    def _of_killed(self, record: Record) -> Record | None:
        # On 2.x the flow's outputs hold the finished iterations; before, there are none (facts 11).
        if self.options.dialect != "2":
            return None
        try:
            return self.outputs(record, self.variables(record, outputs=finished(record), tasks={}))
        except PebbleError:
            return None

    def _kill_runs(self, record: Record) -> None:
        for run in record["taskRuns"]:
            if not records.is_over(run):
                records.move(run, "KILLED")
                run["outputs"] = run["outputs"] or {}
                self._children.terminate(run["id"])

    def _keep(self, record: Record) -> None:
        self.executions[record["id"]] = record
        self.store.keep(record)

    def _watch(self, thread: threading.Thread) -> None:
        thread.daemon = True
        self._threads.append(thread)
        thread.start()
