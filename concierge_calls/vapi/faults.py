"""Whose fault it is that a call was not placed: a pure reading of Vapi's HTTP answer."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

from concierge_calls.errors import (
    AccountRefused,
    ComeBackLater,
    NumberRefused,
    PlacementError,
    PlacementInDoubt,
    ReadRefused,
)

_LONGEST_QUOTE: Final = 240
_LONGEST_WAIT: Final = 3600.0  # seconds
_PHONE: Final = re.compile(r"(?<![\w-])\+?\d[\d ().-]{5,}(\d{4})(?![\w-])")
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")

# Client errors that are known to come after the request may have been acted upon.
_DOUBTFUL: Final = frozenset({408, 409, 425})
# Those that are answered in front of everything that could dial, whoever wrote the body.
_BEFORE_ALL: Final = frozenset({401, 403, 429})


def read_json(body: bytes) -> Any:
    """Read JSON as far as it can be read; raises ValueError for what is none.

    Half a character at the end of a transcript must not lose the call, so broken characters become U+FFFD; NaN and
    the like become null.
    """
    try:
        value = json.loads(body.decode("utf-8-sig", "replace"), parse_constant=lambda _: None)
        if _SURROGATE.search(body):
            whole = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass")
            value = json.loads(whole.decode("utf-16", "replace"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value


def vapi_words(body: bytes) -> list[str] | None:
    """Return what Vapi says in an error's body, sentence by sentence; None when the body is not Vapi's.

    The shape is NestJS's, `message` being one sentence or a list; over the concurrency limit there is only `error`
    (as third parties have seen them; Vapi documents no error schema).
    """
    try:
        reply = read_json(body)
        if not isinstance(reply, dict) or not reply.keys() & {"message", "error", "statusCode"}:
            return None
        return list(_sentences(reply.get("message"))) or list(_sentences(reply.get("error")))
    except ValueError:
        return None


def quote(words: list[str], hide: str = "") -> str:
    """Return Vapi's words for a message of ours: shortened, printable, phone numbers and the key masked."""
    text = " ".join("; ".join(words).split())
    text = "".join(letter for letter in text if letter.isprintable())
    if hide:
        text = text.replace(hide, "***")
    text = _PHONE.sub(r"…\1", text)
    return text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a Retry-After header asks for, given as seconds or as a date; None without one.

    `headers` has names in lower case. A date is measured against the reply's own Date. At most an hour.
    """
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_between(headers.get("date", ""), value)
    return None if math.isnan(seconds) else min(max(seconds, 0.0), _LONGEST_WAIT)


def fault_of(status: int, headers: Mapping[str, str], body: bytes, *, hide: str = "") -> PlacementError:
    """Return the error for an answer to a create that is not a call; `hide` is the key, should Vapi repeat it.

    What counts as certainly not dialled: 401, 403 and 429 in any body; any other 4xx but 408, 409 and 425 with Vapi's
    JSON in it. All else is doubt.
    """
    words = vapi_words(body)
    if status not in _BEFORE_ALL and (words is None or not 400 <= status < 500 or status in _DOUBTFUL):
        return in_doubt(f"Vapi answered with HTTP {status}")
    return _refusal(_Answer(status, tuple(words or ()), "\n".join(words or ()).lower()), retry_after(headers), hide)


def lacks_lines(body: bytes) -> bool:
    """Say whether a refusal is about lines: one shape of that is a 429, and no reason to stop reading."""
    return re.search(_LINES, " ".join(vapi_words(body) or ()).lower()) is not None


def in_doubt(what_happened: str) -> PlacementInDoubt:
    """Return the error for a create that may have been acted upon."""
    return PlacementInDoubt(
        f"{what_happened}, so this phone may have rung. It is looked for at Vapi, and not dialled again by itself.",
        "reply_lost",
    )


def refused_to_show(what: str, status: int, body: bytes, *, hide: str = "") -> ReadRefused:
    """Return the error for a question that was answered with no."""
    words = quote(vapi_words(body) or [], hide)
    said = f" (it says: {words})" if words else ""
    if status == 401:
        return ReadRefused(_SENTENCES["key"].format(said=said), status)
    return ReadRefused(
        f"Vapi did not show {what}, HTTP {status}{said}. Check the settings and what the key may see.", status
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    """A refusal: its status, Vapi's sentences, and all of them in lower case, a line each."""

    status: int
    words: tuple[str, ...]
    text: str

    def says(self, pattern: str) -> bool:
        return re.search(pattern, self.text) is not None

    def is_about_this_row(self) -> bool:
        """Say whether every sentence is about what only this row has; any other would come again with the next row."""
        return bool(self.words) and all(re.match(r"\W*(customer|name)\b", item.lower()) for item in self.words)


_LINES: Final = "over concurrency|concurrency limit"
_OUR_REQUEST: Final = "our_request"
_NO_LINE: Final = "no_line"
_TOO_MANY: Final = "rate_limit"
_NUMBER: Final = "number_refused"

# Read from the top, the first that fits. Texts as seen by third parties; Vapi documents none of them.
_RULES: Final[tuple[tuple[str, Callable[[_Answer], bool]], ...]] = (
    ("key", lambda it: it.status == 401),
    ("credits", lambda it: it.status == 402),
    (_OUR_REQUEST, lambda it: it.says(r"should not exist")),
    (_NO_LINE, lambda it: it.says(_LINES)),
    (_TOO_MANY, lambda it: it.status == 429),
    (_NUMBER, lambda it: it.status in (400, 422) and it.is_about_this_row()),
    ("daily_limit", lambda it: it.says(r"daily\b.*\blimit")),
    ("credits", lambda it: it.says(r"\bcredits?\b|billing|wallet|payment|insufficient|frozen")),
    ("forbidden", lambda it: it.status == 403),
    ("phone_number", lambda it: it.says(r"phone ?number\b.*(not exist|not found)|phonenumberid\b|get phone number")),
    ("assistant", lambda it: it.says(r"\bassistant(id)?\b.*(not exist|not found)|assistantid|get assistant")),
    ("not_found", lambda it: it.status == 404),
    (_OUR_REQUEST, lambda _: True),
)

_SENTENCES: Final = {
    "key": "Vapi does not know this key{said}. Set VAPI_API_KEY to the organisation's private key, not the public one.",
    "daily_limit": "The phone number has made all the calls that Vapi allows it in a day{said}. "
    "Go on after midnight UTC, or import a number of your own and set VAPI_PHONE_NUMBER_ID.",
    "credits": "Vapi wants to be paid first{said}. See to the organisation's billing in Vapi's dashboard.",
    "forbidden": "Vapi does not let this key, or this network, place calls{said}. "
    "Check the key's rights in Vapi's dashboard, and whether a firewall stands in between.",
    "phone_number": "Vapi does not know the phone number to call from{said}. Check VAPI_PHONE_NUMBER_ID.",
    "assistant": "Vapi does not know the assistant{said}. Check VAPI_ASSISTANT_ID.",
    "not_found": "Vapi did not find what the call needs{said}. "
    "Check VAPI_PHONE_NUMBER_ID, VAPI_ASSISTANT_ID and VAPI_BASE_URL.",
    _OUR_REQUEST: "Vapi did not accept the request for a call (HTTP {status}){said}. Nobody's phone rang. "
    "Unless the assistant is your own, this is a bug in concierge-calls: please report it.",
    _NO_LINE: "All of the organisation's lines at Vapi are taken; the call is placed when one is free.",
    _TOO_MANY: "Vapi takes no more requests in this minute; the call is placed later.",
    _NUMBER: "Vapi refused this number or name{said}. Nobody's phone rang; correct its row in the providers file.",
}


def _refusal(answer: _Answer, wait: float | None, hide: str) -> PlacementError:
    code = next(code for code, fits in _RULES if fits(answer))
    said = quote(list(answer.words), hide)
    message = _SENTENCES[code].format(status=answer.status, said=f" (it says: {said})" if said else "")
    if code in (_NO_LINE, _TOO_MANY):
        return ComeBackLater(message, code, wait)
    return NumberRefused(message, code) if code == _NUMBER else AccountRefused(message, code)


def _sentences(value: object) -> Iterator[str]:
    """Find the sentences in a message, however it is packed."""
    unopened = [value]
    while unopened:
        item = unopened.pop()
        if isinstance(item, str) and item.strip():
            yield item
        elif isinstance(item, list):
            unopened.extend(reversed(item))
        elif isinstance(item, dict):
            unopened.append(item.get("message") or item.get("error"))


def _seconds_between(earlier: str, later: str) -> float:
    try:
        return (parsedate_to_datetime(later) - parsedate_to_datetime(earlier)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return math.nan
