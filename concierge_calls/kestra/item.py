"""What a flow hands to a child: the item or the whole list, the flow's inputs, and how many lines there are."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from concierge_calls import phone
from concierge_calls.errors import PhoneError, UsageError
from concierge_calls.plan import REQUEST_FIELDS
from concierge_calls.providers import FIELDS, Row
from concierge_calls.providers.headers import recognised

ITEM = "CONCIERGE_CHILD_ITEM_B64"
DEFAULTS = "CONCIERGE_CHILD_DEFAULTS_B64"
LINES = "CONCIERGE_CHILD_LINES"

# A call's key, of at most 40 characters, has to hold it, and so have the names of files.
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,23}")
_NUMBERS = 10**9  # a row's number is below that, so that a key holds it
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_AGAIN = "put the flow on the server again with: concierge-calls kestra deploy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The part of a run that one child calls; `lines` children share the account, and this one is `place` of them."""

    run_id: str
    numbers: tuple[int, ...]  # of each row in the whole run, for its keys
    shown: tuple[int, ...]  # the same for people, where it differs
    rows: tuple[Row, ...] = field(repr=False)
    max_concurrent: int  # calls of this child at once
    lines: int
    place: int
    options: Mapping[str, Any] = field(repr=False)  # settings that the whole run was told

    @property
    def name(self) -> str:
        """What a second start of the same child finds the first one's journal by."""
        first = f"{self.run_id}-{self.numbers[0]}"
        if len(self.numbers) == 1:
            return first
        rows = ",".join(map(str, self.numbers))
        return f"{first}-{hashlib.sha256(rows.encode()).hexdigest()[:8]}"


def given(environ: Mapping[str, str], *, item: Path | None, whole: Path | None) -> Any:
    """Return what the flow handed over, an item or the whole list, as it came; from a file, else the environment.

    Raises UsageError.
    """
    file = item or whole
    value = _json(_base64(environ, ITEM) if file is None else _file(file))
    if isinstance(value, list) is (whole is None):
        what = "a list" if whole is None else "no list"
        raise UsageError(f"The flow handed over {what}, so nobody is called; {_AGAIN}")
    return value


def named(value: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Return row, run and name of everybody who can be told from what was handed over, however wrong the rest is."""
    for item in _items(value):
        for provider in item["providers"] if _is_ours(item) else [item]:
            if isinstance(provider, dict):
                yield provider.get("index"), item.get("run_id"), provider.get("name")


def part(value: Any, environ: Mapping[str, str]) -> Part:
    """Return whom the child calls, and how; the flow's inputs and lines are in the environment. Raises UsageError."""
    defaults = _object(_json(_base64(environ, DEFAULTS) or "{}"), DEFAULTS)
    items, is_whole = _items(value), isinstance(value, list)
    rows = list(_rows(items, defaults, is_whole=is_whole))
    numbers = tuple(number for number, _, _ in rows)
    run_ids = {_run_id(item, defaults) for item in items}
    if not rows or len(run_ids) != 1 or len(set(numbers)) != len(numbers):
        raise UsageError(
            "The flow handed over nobody, or a row twice, or providers of several runs, so nobody is called; give it "
            "the providers of one run."
        )
    options = _object(items[0].get("options", {}), "options") if _is_ours(items[0]) else {}
    lines = _lines(environ.get(LINES, "")) or _count(options.get("max_concurrent"), 1)
    return Part(
        run_id=run_ids.pop(),
        numbers=numbers,
        shown=tuple(shown for _, shown, _ in rows),
        rows=tuple(row for _, _, row in rows),
        max_concurrent=lines if is_whole else 1,
        lines=1 if is_whole else lines,
        place=0 if is_whole else _place(items[0], defaults) or 0,
        options=options,
    )


# — the texts —


def _base64(environ: Mapping[str, str], variable: str) -> str:
    try:
        return base64.b64decode(environ.get(variable, ""), validate=True).decode()
    except (binascii.Error, ValueError):
        raise UsageError(f"{variable} is not base64 of a text, so nobody is called; {_AGAIN}") from None


def _file(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({type(error).__name__}), so nobody is called; {_AGAIN}") from None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"What the flow handed over is not JSON ({error}), so nobody is called; {_AGAIN}") from None


def _lines(text: str) -> int | None:
    if not text.strip():
        return None
    if (lines := _count(text.strip(), 0)) > 0:
        return lines
    raise UsageError(f"{LINES} must be a whole number above 0, so nobody is called; {_AGAIN}")


# — what is in them —


def _items(value: Any) -> list[dict[str, Any]]:
    items = value if isinstance(value, list) else [value]
    return [item if isinstance(item, dict) else {"name": None, "phone": item} for item in items]


def _is_ours(item: Mapping[str, Any]) -> bool:
    return isinstance(item.get("providers"), list)


def _rows(
    items: Iterable[Mapping[str, Any]], defaults: Mapping[str, Any], *, is_whole: bool
) -> Iterator[tuple[int, int, Row]]:
    for position, item in enumerate(items):
        if _is_ours(item):
            yield from map(_row_of_ours, item["providers"])
        elif is_whole:
            yield position, position, _row(item, position, defaults)
        else:
            place = _place(item, defaults)
            number = _number(item, place)
            yield number, number if place is None else place, _row(item, place or 0, defaults)


def _row_of_ours(provider: Any) -> tuple[int, int, Row]:
    number = _count(_object(provider, "a provider").get("index"), -1)
    if number < 0:
        raise UsageError(f"The flow handed over a provider without its index, so nobody is called; {_AGAIN}")
    return number, number, _row(provider, number, {})


def _row(provider: Mapping[str, Any], number: int, defaults: Mapping[str, Any]) -> Row:
    columns = recognised(provider)
    values = {name: _text(provider.get(columns.get(name, ""))) for name in FIELDS}
    own = {name: values.get(name) or _text(defaults.get(asked)) for name, asked in REQUEST_FIELDS.items()}
    return Row(line=number + 1, values=values | own, extra={}, unit="provider")


def _run_id(item: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """Return the run's own id, or one made of it where it does not fit into a key or a file's name."""
    known = (item.get("run_id"),) if _is_ours(item) else (defaults.get("run_id"), defaults.get("execution_id"))
    found = next(filter(None, map(_text, known)), None)
    if found is None:
        raise UsageError(f"The flow handed over no run's id, so nobody is called; {_AGAIN}")
    return found if _RUN_ID.fullmatch(found) else hashlib.sha256(found.encode()).hexdigest()[:20]


def _place(item: Mapping[str, Any], defaults: Mapping[str, Any]) -> int | None:
    found = item.get("place") if _is_ours(item) else defaults.get("place")
    number = _count(found, -1)
    return number if number >= 0 else None


def dialled(given: str) -> str | None:
    """Return the number that is dialled for this one; None where it is none."""
    with suppress(PhoneError):
        return phone.parse(given).e164
    return None


def _number(provider: Mapping[str, Any], place: int | None) -> int:
    """Return a number for a row that nobody numbered, the same one at each start.

    It is made of the phone number, so that one that stands in the list twice is dialled by one of two children.
    """
    found = dialled(_text(provider.get(recognised(provider).get("phone", ""))))
    if found is None and place is not None:
        return place
    text = json.dumps(provider, sort_keys=True) if found is None else found
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % _NUMBERS


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise UsageError(f"What the flow handed over as {what} is no object, so nobody is called; {_AGAIN}")


def _count(value: Any, otherwise: int) -> int:
    if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value):
        return int(value)
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _NUMBERS
    return int(value) if is_count else otherwise


def _text(value: Any) -> str:
    if isinstance(value, str):
        return _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", value).strip()
    return "" if value is None or isinstance(value, bool | dict | list) else str(value)
