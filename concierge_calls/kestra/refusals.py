"""What an answer says that is none of those asked for, and whether it shows that nothing was done."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

# What is decided by the head of a request alone, so that nothing was started, whoever says so.
_BEFORE_ALL: Final = frozenset({401, 403, 404, 405, 407, 411, 413, 414, 415, 429, 431})
# Client errors by which a proxy says that it waited, or was left, after it had passed the request on.
_DOUBTFUL: Final = frozenset({408, 425, 460, 499})
_BUSY: Final = frozenset({408, 425, 429})
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title>|<h1[^>]*>(.*?)</h1>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is none of those asked for: its status, its body and where it sends us instead."""

    status: int
    body: bytes = field(repr=False)
    location: str = ""

    @property
    def may_be_better_soon(self) -> bool:
        """Whether the same question may be answered when it is asked once more."""
        return self.status in _BUSY or self.status >= 500

    @property
    def certainly_did_nothing(self) -> bool:
        """Whether a POST that was answered so has started nothing."""
        if self.status in _BEFORE_ALL:
            return True
        return 400 <= self.status < 500 and self.status not in _DOUBTFUL and bool(words(self.body))


def words(body: bytes) -> str:
    """Return what Kestra says in an error: Micronaut's `message` with what is embedded, or a problem's `detail`.

    Empty where the body is neither, as that of a 401 is.
    """
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(reply, dict):
        return ""
    first = next((_text(reply.get(name)) for name in ("message", "detail", "title") if _text(reply.get(name))), "")
    more = [said for said in _embedded(reply) if said not in first]
    return ": ".join(part for part in (first, "; ".join(more)) if part)


def _embedded(reply: dict[str, Any]) -> Iterator[str]:
    embedded = reply.get("_embedded")
    errors = embedded.get("errors") if isinstance(embedded, dict) else None
    for error in errors if isinstance(errors, list) else []:
        if isinstance(error, dict) and (said := _text(error.get("message"))):
            yield said


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def shows(body: bytes) -> tuple[str, str]:
    """Return what an answer shows that is not Kestra's: what it is, and a page's title or the text itself."""
    text = body[:20_000].decode("utf-8", "replace").strip()
    if not text:
        return "an empty answer", ""
    if not text.startswith("<"):
        return "a text that begins with", text
    title = _TITLE.search(text)
    heading = re.sub(r"<[^>]*>", " ", (title[1] or title[2] or "") if title else "").strip()
    return ("a page with the title", heading) if heading else ("a page without a title", "")
