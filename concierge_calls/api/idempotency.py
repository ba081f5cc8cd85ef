"""By which key a client asks for a run, so that asking again begins no other (the Idempotency-Key header)."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Annotated

from fastapi import Header

from concierge_calls.api.bodies import Body
from concierge_calls.api.problems import Fault, bad_request
from concierge_calls.journal import RequestKey

_KEY = re.compile(r"[!-~]{1,255}")

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="The same key and body answer the same run, also while it goes on and after a restart.",
    ),
]


def request_key(key: str | None, route: str, body: Body) -> RequestKey | None:
    """Return what is kept of a request that came with this key; None without one. Raises Problem for no key at all."""
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise bad_request([Fault(field="Idempotency-Key", reason="Must be 1 to 255 ASCII characters without spaces.")])
    asked = f"{route}\n{body.model_dump_json(by_alias=True, exclude_unset=True)}"
    return RequestKey(key, sha256(asked.encode()).hexdigest())
