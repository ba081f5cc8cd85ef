"""What a client says in the headers of a request for calls: by which key it asks, and whether it waits."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Header, Request

from concierge_calls.api.bodies import Body
from concierge_calls.api.problems import Fault, bad_request
from concierge_calls.journal import RequestKey

_KEY = re.compile(r"[!-~]{1,255}")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')  # in which a comma parts nothing


def _one_key(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="The same key and body answer the same run, also while it goes on and after a restart.",
        ),
    ] = None,
) -> str | None:
    if len(request.headers.getlist("idempotency-key")) > 1:
        raise bad_request([Fault(field="Idempotency-Key", reason="There are two of them; send one.")])
    if idempotency_key is not None and not _KEY.fullmatch(idempotency_key):
        raise bad_request([Fault(field="Idempotency-Key", reason="Must be 1 to 255 ASCII characters without spaces.")])
    return idempotency_key


def _prefers_async(
    request: Request,
    prefer: Annotated[
        str | None, Header(description="`respond-async`: answer 202 at once, and let the run go on by itself.")
    ] = None,
) -> bool:
    del prefer  # there may be several such lines, which are one list (RFC 7240)
    asked = _QUOTED.sub("", ",".join(request.headers.getlist("prefer"))).split(",")
    return any(each.partition(";")[0].strip(" \t=").lower() == "respond-async" for each in asked)


IdempotencyKey = Annotated[str | None, Depends(_one_key)]
RespondAsync = Annotated[bool, Depends(_prefers_async)]


def request_key(key: str | None, route: str, body: Body) -> RequestKey | None:
    """Return what is kept of a request that came with this key; None without one.

    A body that names a default and one that leaves it out are the same, and so is one whose fields stand elsewhere.
    """
    if key is None:
        return None
    asked = json.dumps(body.model_dump(mode="json", by_alias=True), sort_keys=True)
    return RequestKey(key, sha256(f"{route}\n{asked}".encode()).hexdigest())
