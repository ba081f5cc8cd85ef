"""What went wrong, as problem details (RFC 9457): the sentence, and field by field where a body is to blame."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import Response

from concierge_calls.errors import (
    BackendUnreachable,
    ConciergeError,
    JournalFull,
    KestraError,
    KeyInUse,
    NoSuchRun,
    PhoneError,
    ProvidersFileError,
    ReadFailed,
    RunLocked,
    RunRefused,
    SettingsError,
    UsageError,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 30  # seconds

# The first class that fits says by which status an error of ours is answered.
_STATUSES: Mapping[type[ConciergeError], int] = {
    NoSuchRun: 404,
    RunLocked: 409,
    KeyInUse: 409,
    UsageError: 400,
    ProvidersFileError: 400,
    PhoneError: 400,
    BackendUnreachable: 503,
    RunRefused: 503,
    KestraError: 503,
    SettingsError: 503,
    ReadFailed: 502,
    JournalFull: 507,
}
_COMES_BACK = (429, 503)


class Fault(BaseModel):
    """What is wrong with one field."""

    field: str = Field(description="Where in the body, such as `providers[0].phone`.")
    reason: str


class ProblemDetails(BaseModel):
    """What went wrong, and what to do next (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[Fault] | None = Field(default=None, description="Of a bad body: each field that is wrong.")
    run_id: str | None = Field(default=None, alias="runId", description="The run that goes on all the same.")
    status_url: str | None = Field(default=None, alias="statusUrl")


class Problem(ConciergeError):
    """The request could not be answered."""

    def __init__(
        self, status: int, detail: str, errors: Sequence[Fault] = (), *, again: bool = True, **more: Any
    ) -> None:
        """Take the HTTP status, the sentence, and what else the details have.

        Unless `again`, the request is not to be sent once more although its status says so.
        """
        super().__init__(detail)
        self.status = status
        self.errors = errors
        self.again = again
        self.more = more


def of(error: ConciergeError) -> Response:
    """Return the answer for what was raised on purpose."""
    if isinstance(error, Problem):
        return answer(error.status, error.message, error.errors, again=error.again, **error.more)
    status = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 500)
    return answer(status, error.message)


def answer(
    status: int,
    detail: str,
    errors: Sequence[Fault] = (),
    *,
    headers: Mapping[str, str] | None = None,
    again: bool = True,
    **more: Any,
) -> Response:
    """Return problem details as an answer; with `again`, one that passes says when to send the request once more."""
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    body |= {"detail": detail, **more}
    if errors:
        body["errors"] = [fault.model_dump() for fault in errors]
    sent = dict(headers or {})
    if again and status in _COMES_BACK:
        sent["Retry-After"] = str(RETRY_AFTER)
    if status == HTTPStatus.UNAUTHORIZED:
        sent["WWW-Authenticate"] = "Bearer"
    return Response(json.dumps(body), status, sent, MEDIA_TYPE)


def bad_request(faults: Sequence[Fault], *, calls: bool = True) -> Problem:
    """Return the problem of a request with these faults; `calls` says whether somebody would have been called."""
    so = ", so nobody was dialled" if calls else ""
    rest = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Problem(400, f"The request cannot be used{so}: {faults[0].field}: {faults[0].reason}{rest}", faults)


def faults_of(errors: Iterable[Mapping[str, Any]], body: object) -> Iterable[Fault]:
    """Return pydantic's errors as faults; nothing is quoted of what was sent, which is in `body`."""
    for error in errors:
        if error["type"] == "json_invalid":
            yield Fault(field="body", reason=_broken(error, str(body)))
        else:
            yield Fault(field=_path(error["loc"]), reason=_sentence(error))


def _path(location: Sequence[str | int]) -> str:
    path = ""
    for part in location[1:]:  # the first is `body`, `query`, `path` or `header`
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path or str(location[0])


def _broken(error: Mapping[str, Any], text: str) -> str:
    before = text[: error["loc"][1]]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return f"This is no JSON at line {line}, column {column}: {error['ctx']['error']}."


def _sentence(error: Mapping[str, Any]) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "There is no such field; leave it out."
        case "missing":
            return "This field is needed."
        case _:
            return f"{str(error['msg']).removeprefix('Value error, ')}."
