"""The paths of a server's API that a run needs, each as its version answers it."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.kestra.double import records, search
from tests.kestra.double.deployed import Flows
from tests.kestra.double.engine import Engine
from tests.kestra.double.multipart import Part, parts
from tests.kestra.double.options import Options
from tests.kestra.double.sources import Flow
from tests.kestra.double.store import Record, Store
from tests.kestra.double.web import Dropped, Refusal, Reply, Request

LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")
PATIENCE = 300.0  # seconds until what a test waits for counts as never, also on a slow machine
OWN_LABELS = ("system.correlationId",)


class Api:
    """Answers requests; everything that it knows is in the store and the engine."""

    def __init__(self, options: Options, store: Store, engine: Engine) -> None:
        self.options = options
        self.user = options.user
        self.password = options.password
        self.engine = engine
        self._store = store
        self._flows = Flows(options, store)
        self._lock = threading.Lock()
        self._visible: dict[str, float] = {}  # from when on a search shows an execution
        self._starts: list[str] = []  # what becomes of the next POSTs that start one
        self._posts = 0

    def flow_of(self, record: Record) -> Flow:
        """Return the flow that an execution runs."""
        return self._flows.find(record["namespace"], record["flowId"], record["flowRevision"])

    def configs(self) -> Record:
        """GET /api/v1/configs: who the server is, for everybody (facts 1)."""
        said: Record = {"version": self.options.number, "edition": "OSS"}
        if self.options.dialect == "0":
            return said | {"isBasicAuthEnabled": self.options.wants_auth}
        return said | {"isBasicAuthInitialized": self.user is not None}

    def control(self, request: Request) -> Reply:
        """Let a test look behind the double: its ledger, what becomes of the next POSTs, and wait for what happens."""
        match request.path:
            case ("double", "starts"):
                self._starts = json.loads(request.body)["starts"]
            case ("double", "over", execution_id):
                self._wait(lambda: records.is_over(self._execution(execution_id)))
            case ("double", "begun", number):
                self._wait(lambda: len(self._begun()) >= int(number))
        return Reply({"starts": self._posts, "children": self._store.ledger()})

    def _begun(self) -> list[Record]:
        return [line for line in self._store.ledger() if line["event"] == "start"]

    def _wait(self, until: Callable[[], bool]) -> None:
        with self.engine.changed:
            if not self.engine.changed.wait_for(until, PATIENCE):
                raise Refusal(504, "It did not happen.")

    def answer(self, request: Request, path: tuple[str, ...]) -> Reply:
        """Answer a request below the API's root; raises Refusal and Dropped."""
        reply = None
        match path:
            case ("basicAuth",):
                reply = self._basic_auth(request)
            case ("flows", *rest):
                reply = self._about_flows(request, rest)
            case ("executions", *rest):
                reply = self._about_executions(request, rest)
            case ("outputs", *rest) if self.options.dialect == "2":
                reply = self._outputs(rest)
            case ("logs", execution_id):
                reply = self._logs(request, execution_id)
        if reply is None:
            raise Refusal(404, "Not Found")
        return reply

    def _about_flows(self, request: Request, path: list[str]) -> Reply | None:
        match (request.method, *path):
            case ("POST", "validate"):
                return self._flows.validate(request)
            case ("POST",):
                return self._flows.create(request)
            case ("PUT", namespace, flow_id):
                return self._flows.update(request, namespace, flow_id)
            case ("GET", namespace, flow_id):
                return self._flows.show(request, namespace, flow_id)
        return None

    def _about_executions(self, request: Request, path: list[str]) -> Reply | None:
        match (request.method, *path):
            case ("GET", "search"):
                return self._search(request)
            case ("POST", namespace, flow_id):
                return self._start(request, namespace, flow_id)
            case ("GET", execution_id):
                return Reply(self._execution_json(execution_id))
            case ("GET", execution_id, "file"):
                return self._file(request, execution_id)
            case ("DELETE", execution_id, *rest):
                return self._kill(execution_id, rest)
        return None

    # ---- facts 1: a fresh server's user

    def _basic_auth(self, request: Request) -> Reply:
        said = json.loads(request.body)
        password = said["password"]
        if not re.fullmatch(r"(?=.*[a-z])(?=.*[A-Z])(?=.*\d).{8,}", password):
            raise Refusal(400, "Password must be at least 8 characters, with upper and lower case and a digit")
        self.user, self.password = said["username"], password
        return Reply(status=204)

    # ---- facts 5: starting an execution, and finding it

    def _start(self, request: Request, namespace: str, flow_id: str) -> Reply:
        becomes = self._starts.pop(0) if self._starts else "answered"
        if request.body and "multipart/form-data" not in request.content_type:
            kind = request.content_type.split(";")[0]
            raise Refusal(415, f"Content Type [{kind}] not allowed. Allowed types: [multipart/form-data]")
        if becomes == "refused":
            raise Refusal(502, "Bad Gateway")
        flow = self._flows.find(namespace, flow_id, _number(request.asked("revision")))
        if flow.document.get("disabled"):
            raise Refusal(409, "Illegal state: Requested Flow is disabled.")
        labels = _labels([value for name, value in request.query if name == "labels"])
        inputs = self._inputs(flow, parts(request.content_type, request.body))
        with self._lock:
            self._posts += 1
            record = self.engine.start(flow, inputs, labels)
            self._visible[record["id"]] = time.monotonic() + self.options.search_lag
        if becomes == "lost":
            raise Dropped
        if becomes == "gateway":
            raise Refusal(502, "Bad Gateway")
        return Reply(self._execution_json(record["id"]))

    def _inputs(self, flow: Flow, given: list[Part]) -> Record:
        # Whatever is not an input of the flow is ignored without a word, a misspelt one too.
        declared = {each["id"]: each for each in flow.document.get("inputs") or []}
        texts = {part.name: part.content for part in given if part.file_name is None}
        files = {name: part.content for part in given if part.file_name for name in (part.file_name, part.name)}
        self._bounded(texts)
        found = {}
        for name, each in declared.items():
            source = files if each["type"] == "FILE" else texts
            if name in source:
                found[name] = self._typed(each, source[name])
            elif "defaults" in each:
                found[name] = each["defaults"]
            elif each.get("required", True):
                raise Refusal(422, self._missing(name))
            else:
                found[name] = None
        return found

    def _bounded(self, texts: Mapping[str, bytes]) -> None:
        size, limit = sum(len(text) for text in texts.values()), self.options.largest_message
        if limit is not None and size > limit:  # facts 12: and nothing was started
            raise Refusal(
                500,
                f"Internal Server Error: MessageTooBigException: [ExecutionCommand] message of size {size} has "
                f"exceeded the configured limit of {limit}",
            )

    def _missing(self, name: str) -> str:
        if self.options.dialect == "0":
            return f"{name}: Invalid input for '{name}', missing required input, but received 'null'"
        return f"Invalid entity: Missing required input:{name}"

    def _typed(self, each: Mapping[str, Any], content: bytes) -> Any:
        name = each["id"]
        if each["type"] == "FILE":
            return self._store.put(name, content)
        text = content.decode()
        try:
            if each["type"] == "INT":
                return int(text)
            return json.loads(text) if each["type"] == "JSON" else text
        except ValueError as fault:
            cause = f'For input string: "{text}"' if each["type"] == "INT" else str(fault)
            raise Refusal(422, f"Invalid entity: Invalid value for input '{name}'. Cause: {cause}") from None

    def _search(self, request: Request) -> Reply:
        now = time.monotonic()
        with self.engine.lock:
            every = [each for each in self.engine.executions.values() if self._visible.get(each["id"], 0.0) <= now]
        try:
            hits = search.found(every, request.query, self.options.dialect)
        except search.BadQuery as fault:
            raise Refusal(422, str(fault)) from None
        show = records.light if self.options.dialect == "2" else records.shown
        with self.engine.lock:
            results = [show(each, self._given(each), self.options) for each in search.page(hits, request.query)]
            return Reply({"results": results, "total": len(hits)})

    # ---- facts 6: an execution, its outputs, files and logs

    def _execution(self, execution_id: str) -> Record:
        record = self.engine.executions.get(execution_id)
        if record is None:
            raise Refusal(404, "Not Found")
        return record

    def _execution_json(self, execution_id: str) -> Record:
        with self.engine.lock:
            record = self._execution(execution_id)
            view: Record = json.loads(json.dumps(records.shown(record, self._given(record), self.options)))
            return view

    def _given(self, record: Record) -> Record:
        return self._store.inputs(record["parentId"] or record["id"])

    def _outputs(self, path: list[str]) -> Reply | None:
        if self.options.is_released_2:
            match path:
                case ("executions", execution_id):
                    return Reply(self._execution(execution_id)["outputs"] or {})
                case ("tasks", execution_id, *rest):
                    return self._task_outputs(execution_id, rest)
        elif len(path) in (1, 2) and path[0] != "executions":
            return self._task_outputs(path[0], path[1:])
        return None

    def _task_outputs(self, execution_id: str, run_id: list[str]) -> Reply:
        with self.engine.lock:
            runs = [run for run in self._execution(execution_id)["taskRuns"] if run["outputs"]]
            if not run_id:
                keys = ("taskId", "id")
                return Reply([dict(zip(("taskId", "taskRunId"), map(run.get, keys), strict=True)) for run in runs])
            for run in runs:
                if run["id"] == run_id[0]:
                    return Reply(json.loads(json.dumps(run["outputs"])))
        raise Refusal(404, "Not Found")

    def _file(self, request: Request, execution_id: str) -> Reply:
        self._execution(execution_id)
        content = self._store.get(request.asked("path") or "")
        if content is None:
            raise Refusal(404, "Not Found")
        return Reply(content, content_type="application/octet-stream")

    def _logs(self, request: Request, execution_id: str) -> Reply:
        record = self._execution(execution_id)
        name = "filters[level][GREATER_THAN_OR_EQUAL_TO]" if self.options.dialect == "2" else "minLevel"
        least = LEVELS.index(request.asked(name) or "TRACE")  # the other version's name is ignored (facts 13)
        common = {each: record[each] for each in ("namespace", "flowId")} | {"executionId": execution_id}
        with self.engine.lock:
            return Reply([common | line for line in record["log"] if LEVELS.index(line["level"]) >= least])

    # ---- facts 11: kill

    def _kill(self, execution_id: str, rest: list[str]) -> Reply:
        path = ["actions", "kill"] if self.options.dialect == "2" else ["kill"]
        if rest != path:
            raise Refusal(405 if rest == ["kill"] else 404, "Method Not Allowed")
        record = self._execution(execution_id)
        if self.options.is_released_2 and records.is_over(record):
            raise Refusal(409, f"Execution {execution_id} is already terminated")
        self.engine.kill(record)
        if self.options.dialect == "2":
            return Reply(self._execution_json(execution_id))
        return Reply(status=202)


def _number(text: str | None) -> int | None:
    return int(text) if text else None


def _labels(given: list[str]) -> list[Record]:
    labels = []
    for text in given:
        key, colon, value = text.partition(":")
        if not colon:
            raise Refusal(422, f"Invalid label: {text}")
        if key.startswith("system.") and key not in OWN_LABELS:
            raise Refusal(422, "System labels can only be set by Kestra itself")
        labels.append({"key": key, "value": value})
    return labels
