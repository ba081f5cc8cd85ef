"""Kestra's HTTP API, typed in and out: a question is asked until it is answered, a start is posted once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx

from concierge_calls.errors import KestraNotStarted, KestraRefused, KestraUnreachable
from concierge_calls.kestra.connection import Connection, form
from concierge_calls.kestra.dialect import Dialect
from concierge_calls.kestra.schemas import (
    LEVELS,
    Configs,
    Execution,
    Flow,
    Found,
    LogLine,
    Page,
    RawExecution,
    RawLogLine,
    Revision,
    Server,
    Started,
    TaskOutput,
    Validation,
    parsed,
)

T = TypeVar("T")

PATIENCE: Final = 10.0  # seconds for which a question is asked again
UNKNOWN: Final = 404
OVER_ALREADY: Final = 409
_PAGE: Final = 100  # executions of a search at once
_MOST_FOUND: Final = 5000  # where a filter is ignored, everything is found


class KestraClient:
    """Speaks with one Kestra in its dialect, which is found out by the first question.

    `patience` is for how many seconds a question is asked again; `transport`, `sleep` and `monotonic` are there to be
    replaced. Whatever asks raises KestraRefused at a no, and KestraUnreachable when patience is at an end.
    """

    def __init__(
        self,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        api_token: str | None = None,
        tenant: str = "main",
        namespace: str = "ai_concierge",
        patience: float = PATIENCE,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.namespace = namespace
        self._tenant = tenant
        self._server: Server | None = None
        self._connection = Connection(
            url,
            username=username,
            password=password,
            api_token=api_token,
            tenant=tenant,
            patience=patience,
            transport=transport,
            sleep=sleep,
            monotonic=monotonic,
        )

    def __repr__(self) -> str:
        return f"<KestraClient {self.address} {self.namespace}>"

    @property
    def address(self) -> str:
        """Where Kestra is, without a slash at the end."""
        return self._connection.place.address

    @property
    def exposes_credentials(self) -> bool:
        """Whether the credentials travel to another machine without TLS, readable for whoever is in between."""
        return self._connection.exposes_credentials

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connection.aclose()

    # Kestra: GET /api/v1/configs, in no tenant; up to 1.x without credentials, too.
    async def greet(self) -> Server:
        """Ask the server which version it is; raises KestraRefused also for a version that nothing is known of."""
        what = "its version"
        configs = self._read(Configs, what, await self._connection.ask(what, "GET", "/api/v1/configs"))
        self._server = Server(configs.version, Dialect.of(configs.version), configs.is_basic_auth_initialized)
        return self._server

    # Kestra: GET R/executions/search; 401 for wrong credentials, 400 for a tenant that is not there.
    async def admit(self) -> None:
        """Ask something that needs credentials and tenant, to see whether they are accepted."""
        await self._ask("its executions", "GET", "/executions/search", {"size": "1"})

    # Kestra: POST R/flows/validate -> 200, whatever it finds.
    async def validate(self, source: str) -> str | None:
        """Return what is wrong with a flow's YAML on this server, None for nothing."""
        what = "the check of a flow"
        found = self._read(list[Validation], what, await self._ask(what, "POST", "/flows/validate", yaml=source))
        return "; ".join(each.constraints for each in found if each.constraints) or None

    # Kestra: GET R/flows/{namespace}/{id}?source=true.
    async def flow(self, flow_id: str) -> Flow | None:
        """Return a flow as it is deployed; None where there is none."""
        what = f"the flow {flow_id}"
        body = await _if_known(self._ask(what, "GET", self._flow(flow_id), {"source": "true"}))
        if body is None:
            return None
        found = self._read(Revision, what, body)
        return Flow(found.revision, found.source, found.disabled)

    # Kestra: PUT R/flows/{namespace}/{id}, 404 where it is new; POST R/flows, 422 where it is not.
    async def deploy(self, flow_id: str, source: str) -> int:
        """Put a flow on the server and return its revision, which stays the same where nothing has changed."""
        what = f"the flow {flow_id}"
        body = await _if_known(self._ask(what, "PUT", self._flow(flow_id), yaml=source))
        if body is None:
            try:
                body = await self._ask(what, "POST", "/flows", yaml=source)
            except KestraRefused as error:
                if "already exists" not in error.message:
                    raise
                # The reply to an earlier request was lost, or somebody else was as quick.
                body = await self._ask(what, "PUT", self._flow(flow_id), yaml=source)
        return self._read(Revision, what, body).revision

    # Kestra: POST R/executions/{namespace}/{id}?labels=k:v&revision=n, multipart/form-data, a part an input.
    async def start(
        self,
        flow_id: str,
        *,
        revision: int,
        inputs: Mapping[str, str],
        files: Mapping[str, bytes],
        labels: Mapping[str, str],
    ) -> str:
        """Start one execution of this revision by one request, whatever becomes of its reply; return its id.

        Raises KestraNotStarted when certainly none was started, else KestraInDoubt; a cancellation in flight is as
        doubtful.
        """
        try:
            dialect = await self._dialect()
        except (KestraRefused, KestraUnreachable) as error:
            raise KestraNotStarted(error.message) from error
        what = f"the start of the flow {flow_id}"
        path = f"{dialect.root(self._tenant)}/executions/{_part(self.namespace)}/{_part(flow_id)}"
        params = [*(("labels", f"{key}:{value}") for key, value in labels.items()), ("revision", str(revision))]
        body = await self._connection.send_once(what, path, params=params, form=form(inputs, files))
        try:
            return parsed(Started, body).id
        except ValueError as error:
            raise self._connection.place.in_doubt("Kestra's reply to the start cannot be read") from error

    # Kestra: GET R/executions/search; a filter that a version does not know is ignored, and everything returned.
    async def find(self, flow_id: str, label: str, value: str, *, namespace: str | None = None) -> list[str]:
        """Return the ids of the flow's executions that bear this label, newest first; in our namespace or in that one.

        An execution is found up to a second after it was started.
        """
        found = await self._search((await self._dialect()).filters(flow_id, label, value))
        return [
            each.id
            for each in found
            if (each.namespace, each.flow_id) == (namespace or self.namespace, flow_id) and each.has(label, value)
        ]

    # Kestra: GET R/executions/{id}.
    async def execution(self, execution_id: str) -> Execution:
        """Return an execution as it stands; one that is not there is refused with the status 404."""
        what = f"the execution {execution_id}"
        body = await self._ask(what, "GET", f"/executions/{_part(execution_id)}")
        return self._read(RawExecution, what, body).execution()

    # Kestra: inline up to 1.x; GET R/outputs/executions/{id} from 2.0 on.
    async def outputs(self, execution: Execution) -> Mapping[str, Any]:
        """Return the flow's outputs, as far as there are any yet."""
        if execution.outputs is not None or await self._dialect() is not Dialect.V2:
            return execution.outputs or {}
        what = f"the outputs of the execution {execution.id}"
        body = await _if_known(self._ask(what, "GET", f"/outputs/executions/{_part(execution.id)}"))
        return {} if body is None else self._read(dict[str, Any], what, body)

    # Kestra: inline up to 1.x; from 2.0 on GET R/outputs/tasks/{id} and below it, before 2.0.0 without `tasks`.
    async def task_outputs(self, execution: Execution, task_id: str) -> Mapping[str, Any]:
        """Return the outputs of a task as they stand, also of a running Loop and of a killed execution."""
        inline = [run.outputs for run in execution.task_runs if run.task_id == task_id and run.outputs]
        if inline or await self._dialect() is not Dialect.V2:
            return inline[-1] if inline else {}
        what = f"the outputs of the execution {execution.id}"
        for root in (f"/outputs/tasks/{_part(execution.id)}", f"/outputs/{_part(execution.id)}"):
            listed = await _if_known(self._ask(what, "GET", root))
            of_task = [each for each in self._read(list[TaskOutput], what, listed or b"[]") if each.task_id == task_id]
            if of_task:
                body = await _if_known(self._ask(what, "GET", f"{root}/{_part(of_task[-1].task_run_id)}"))
                return {} if body is None else self._read(dict[str, Any], what, body)
        return {}

    # Kestra: GET R/executions/{id}/file?path=kestra:///...
    async def file(self, execution_id: str, uri: str) -> bytes:
        """Return a file that an execution has left in Kestra's storage."""
        what = f"a file of the execution {execution_id}"
        return await self._ask(what, "GET", f"/executions/{_part(execution_id)}/file", {"path": uri})

    # Kestra: DELETE R/executions/{id}/kill -> 202, also when it is over; 2.x: .../actions/kill, then perhaps 409.
    async def kill(self, execution_id: str) -> None:
        """End an execution and have its processes sent SIGTERM; one that is over already stays as it is."""
        path, params = (await self._dialect()).kill(execution_id)
        try:
            await self._ask(f"the end of the execution {execution_id}", "DELETE", path, params)
        except KestraRefused as error:
            if error.status != OVER_ALREADY:
                raise

    # Kestra: GET R/executions/search by parent and kind; without the kind they are left out.
    async def iterations(self, execution_id: str, most: int = _MOST_FOUND) -> list[str]:
        """Return the ids of the executions that a Loop's iterations are, newest first; none before 2.0."""
        filters = (await self._dialect()).iterations(execution_id)
        return [each.id for each in await self._search(filters, most)] if filters else []

    # Kestra: GET R/logs/{id}; the lines of a Loop's iterations are under their own ids.
    async def logs(self, execution_id: str, level: str = "WARN") -> list[LogLine]:
        """Return the log's lines of this level and above, those of a Loop's first iterations after its own."""
        dialect, ids = await self._dialect(), [execution_id, *await self.iterations(execution_id, _PAGE)]
        what, lines = f"the log of the execution {execution_id}", []
        for each in ids:
            body = await self._ask(what, "GET", f"/logs/{_part(each)}", dialect.at_least(level))
            lines += [raw.line() for raw in self._read(list[RawLogLine], what, body)]
        return [line for line in lines if line.level in LEVELS[LEVELS.index(level) :]]

    async def _dialect(self) -> Dialect:
        return (self._server or await self.greet()).dialect

    async def _search(self, filters: Mapping[str, str], most: int = _MOST_FOUND) -> list[Found]:
        found: list[Found] = []
        for page in range(1, most // _PAGE + 1):
            params = {"page": str(page), "size": str(_PAGE), "sort": "state.startDate:desc", **filters}
            what = "its executions"
            results = self._read(Page, what, await self._ask(what, "GET", "/executions/search", params)).results
            found += results
            if len(results) < _PAGE:
                break
        return found

    def _flow(self, flow_id: str) -> str:
        return f"/flows/{_part(self.namespace)}/{_part(flow_id)}"

    async def _ask(
        self, what: str, method: str, path: str, params: Mapping[str, str] | None = None, *, yaml: str | None = None
    ) -> bytes:
        root = (await self._dialect()).root(self._tenant)
        return await self._connection.ask(what, method, f"{root}{path}", params=params, yaml=yaml)

    def _read(self, kind: type[T], what: str, body: bytes) -> T:
        try:
            return parsed(kind, body)
        except ValueError as error:
            raise self._connection.place.unreadable(what, body) from error


async def _if_known(asking: Awaitable[bytes]) -> bytes | None:
    """Return the answer, or None where Kestra says that it knows no such thing."""
    try:
        return await asking
    except KestraRefused as error:
        if error.status != UNKNOWN:
            raise
        return None


def _part(name: str) -> str:
    return quote(name, safe="")
