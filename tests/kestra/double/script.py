"""One run of a script task: rendered, run, and what is kept of what it printed (facts 10 and 12)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.kestra.double import records
from tests.kestra.double.children import Children, Ended
from tests.kestra.double.pebble import PebbleError, render
from tests.kestra.double.sources import DOCKER
from tests.kestra.double.store import Record

if TYPE_CHECKING:
    from tests.kestra.double.engine import Engine


class Scripts:
    """Runs script tasks on this machine; containers it has none."""

    def __init__(self, engine: Engine, children: Children) -> None:
        self._engine = engine
        self._children = children

    def run(self, record: Record, task: Record, run: Record, variables: Mapping[str, Any]) -> str:
        """Run a task and return the state that it came to."""
        try:
            env, files = self._env(task, variables), self._files(task, variables)
            _check_runner(task)
            script = "\n".join(render(line, variables) for line in task["commands"])
            ended = self._awaited(record, task, run, script, env, files)
        except (PebbleError, OSError) as fault:  # OSError: also `Argument list too long` (facts 10)
            self._engine.log(record, "ERROR", str(fault), run)
            return self._engine.ended(record, run, _failed(task), {})
        for level, line in ended.log:
            self._engine.log(record, level, line, run)
        return self._kept(record, task, run, ended)

    def _awaited(
        self, record: Record, task: Record, run: Record, script: str, env: Record, files: Mapping[str, bytes]
    ) -> Ended:
        store = self._engine.store
        who = {"execution": record["id"], "run": run["id"], "item": _item(files), "attempt": run["attempts"]}

        def on_start(pid: int) -> None:
            store.note(event="start", **who, pid=pid)
            changed.notify_all()
            if records.is_over(run):
                self._children.terminate(run["id"])

        changed, wanted = self._engine.changed, task.get("outputFiles") or []
        try:
            # Nobody's end is noted between a child's start and its note, or a peak would be too low.
            return self._children.run(run["id"], script, env, files, wanted, _seconds(task), changed, on_start)
        finally:
            with self._engine.changed:
                store.note(event="end", **who)
                self._engine.changed.notify_all()

    def _env(self, task: Record, variables: Mapping[str, Any]) -> dict[str, str]:
        # Rendered twice on 1.3 and 2.0, so what a provider is called may be evaluated (facts 10).
        rendered = {}
        for name, value in (task.get("env") or {}).items():
            text = render(str(value), variables)
            rendered[name] = text if self._engine.options.dialect == "0" else render(text, variables)
        return rendered

    def _files(self, task: Record, variables: Mapping[str, Any]) -> dict[str, bytes]:
        # Rendered once: bytes intact (facts 10).
        files = {}
        for name, value in (task.get("inputFiles") or {}).items():
            text = render(value, variables)
            content = self._engine.store.get(text) if text.startswith("kestra:///") else None
            files[name] = text.encode() if content is None else content
        return files

    def _kept(self, record: Record, task: Record, run: Record, ended: Ended) -> str:
        engine = self._engine
        if engine.stopping and ended.failed:
            return "HALTED"  # ended by the server's own end: it is started again after the restart (facts 11)
        if ended.failed:
            word = f"Timeout after {task.get('timeout')}" if ended.timed_out else _exit(ended)
            engine.log(record, "ERROR", word, run)
        if ended.failed and task.get("timeout"):
            # A timeout makes Kestra throw away what a failed child had printed, exit code included (facts 5 in 0).
            return engine.ended(record, run, _failed(task), {})
        files = {name: engine.store.put(name, content) for name, content in ended.files.items()}
        outputs: Record = {"vars": ended.printed, "exitCode": ended.exit_code, "outputFiles": files}
        size = len(json.dumps(outputs))
        if size > engine.options.largest_result:
            return self._too_big(record, task, run, outputs, size)
        return engine.ended(record, run, _failed(task) if ended.failed else "SUCCESS", outputs)

    def _too_big(self, record: Record, task: Record, run: Record, outputs: Record, size: int) -> str:
        # On 1.3 the result is gone without a word, with SUCCESS; on 2.0 the reason is in the log alone (facts 12).
        if self._engine.options.dialect != "2":
            return self._engine.ended(record, run, "SUCCESS", {**outputs, "vars": {}})
        limit = self._engine.options.largest_result
        message = f"MessageTooBigException: message of size {size} has exceeded the configured limit of {limit}"
        self._engine.log(record, "ERROR", message, run)
        return self._engine.ended(record, run, "FAILED", {})


def _check_runner(task: Record) -> None:
    if task["taskRunner"]["type"] == DOCKER:
        raise OSError("Cannot connect to the Docker daemon")


def _item(files: Mapping[str, bytes]) -> str | None:
    try:
        told = json.loads(files["item.json"])
        return str(told["id"])
    except (KeyError, TypeError, ValueError):
        return None


def _failed(task: Record) -> str:
    return "WARNING" if task.get("allowFailure") else "FAILED"


def _exit(ended: Ended) -> str:
    return f"Command failed with exit code {ended.exit_code}"


def _seconds(task: Record) -> float | None:
    timeout: str | None = task.get("timeout")
    return float(timeout[2:-1]) if timeout else None
