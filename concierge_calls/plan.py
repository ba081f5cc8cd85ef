"""Rows and a service request become call requests; every row that is not dialled has its reason."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from concierge_calls import phone
from concierge_calls.errors import PhoneError, RequestFileError, UsageError
from concierge_calls.models import DEFAULT_URGENCY, CallRequest, Provider, Reason, ServiceRequest
from concierge_calls.plain import shown

# The fields of a service request as options and columns call them, and what the program calls them.
REQUEST_FIELDS: Mapping[str, str] = {
    "service": "service_needed",
    "criteria": "user_criteria",
    "location": "location",
    "urgency": "urgency",
    "problem": "problem_description",
    "client_name": "client_name",
    "service_request_id": "service_request_id",
}
EXPECTED = "expected_duration"  # the field of seconds by which it is decided who is dialled first
# NUL and halves of a character, which JSON can escape and which nothing behind this could store or send.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_SHOWN = 30  # characters of a cell in a sentence
_LONGEST = 43_200.0  # seconds for which Vapi lets a call last
_DEFAULTS: Mapping[str, str] = {"urgency": DEFAULT_URGENCY}
_NOTHING: Mapping[str, str] = MappingProxyType({})

Guard = Callable[[str], Reason | None]


class Row(Protocol):
    """One row of whatever the providers came in."""

    @property
    def line(self) -> int:
        """The row's number in its file."""

    @property
    def where(self) -> str:
        """The row's place for a message, such as `line 7`."""

    @property
    def values(self) -> Mapping[str, str]:
        """Our field -> its text; a field without a column is not in it."""

    @property
    def extra(self) -> Mapping[str, Any]:
        """Every other column."""

    @property
    def fault(self) -> Reason | None:
        """Why the row cannot be read."""


def allow(number: str) -> Reason | None:
    """Hold nobody back."""
    return None


def make(
    rows: Iterable[Row],
    *,
    source: str,
    typed: Mapping[str, str] = _NOTHING,
    request_file: Mapping[str, str] = _NOTHING,
    mapped: Collection[str] = (),
    region: str = "US",
    needs_service: bool = True,
    called_lately: Guard = allow,
    do_not_call: Guard = allow,
) -> Iterator[CallRequest]:
    """Plan the call of every row, in order; a row that is not to be dialled comes out with `skip`.

    What is asked of a provider is, field by field, the first of: a column that --map asks for (`mapped`), a typed
    option, the request file, a column recognised by its name, the default. An empty cell is no value. The guards take
    an E.164 number and give the reason why it must not be called.

    Raises UsageError at once for an unknown region, and where `needs_service` and nothing names a service; raises
    what `rows` raises.
    """
    phone.checked_region(region)
    coming = iter(rows)
    first = next(coming, None)
    if first is None:
        return iter(())
    if needs_service:
        require_service(first.values, typed, request_file)
    label = "standard input" if source == "-" else source
    planner = _Planner(label, _Wanted(typed, request_file, frozenset(mapped)), region, needs_service)
    guards = (do_not_call, called_lately)
    return (planner.planned(index, row, guards) for index, row in enumerate(chain((first,), coming)))


def require_service(columns: Collection[str], typed: Mapping[str, str], request_file: Mapping[str, str]) -> None:
    """Check that a service is named by something; `columns` are the fields that have a column of their own.

    Raises UsageError when it is named nowhere.
    """
    if not ("service" in columns or typed.get("service") or request_file.get("service")):
        raise UsageError(
            "What should the providers be asked for? Name it with --service, in a --request file, or in a column "
            '"service" of the providers file (another column: --map service=COLUMN).'
        )


def typed_fields(request: ServiceRequest) -> dict[str, str]:
    """Say what a service request names, as field -> value, in the way that typed options are given to `make`."""
    named = ((name, getattr(request, attribute)) for name, attribute in REQUEST_FIELDS.items())
    return {name: value for name, value in named if value is not None}


def columns_used(
    fields: Mapping[str, str],
    typed: Mapping[str, str] = _NOTHING,
    request_file: Mapping[str, str] = _NOTHING,
    mapped: Collection[str] = (),
) -> dict[str, str]:
    """Say which columns give what a run does: field -> column, as the dry run and the prompt name them."""
    return {
        name: column
        for name, column in fields.items()
        if name == EXPECTED
        or (name in REQUEST_FIELDS and (name in mapped or (name not in typed and name not in request_file)))
    }


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the client wants, but for what a row itself says."""

    typed: Mapping[str, str]
    request_file: Mapping[str, str]
    mapped: frozenset[str]

    def of(self, row: Row) -> ServiceRequest:
        values = {attribute: self._first(name, row) for name, attribute in REQUEST_FIELDS.items()}
        return ServiceRequest(**values)  # type: ignore[arg-type]

    def _first(self, name: str, row: Row) -> str | None:
        column = row.values.get(name)
        if column and name in self.mapped:
            return column
        for given in (self.typed, self.request_file):
            if name in given:
                return given[name] or _DEFAULTS.get(name)
        return column or _DEFAULTS.get(name)


@dataclass(slots=True)
class _Planner:
    """Plans one row after the other; of those before it keeps only which numbers they had."""

    source: str
    wanted: _Wanted
    region: str
    needs_service: bool
    seen: dict[str, str] = field(default_factory=dict, repr=False)  # E.164 -> where

    def planned(self, index: int, row: Row, guards: Iterable[Guard]) -> CallRequest:
        request = self.wanted.of(row)
        number = self._usable(row, request)
        if isinstance(number, Reason):
            skip = Reason(number.code, f"{self.source}, {row.where}: {number.message}")
            return CallRequest(index=index, provider=_provider(row), request=request, skip=skip)
        provider = _provider(row, number.e164, number.extension)
        skipped = self._held_back(number.e164, row, guards)
        expected, doubt = _expected(row.values.get(EXPECTED, ""))
        warning = " ".join(filter(None, (number.warning, doubt))) or None
        return CallRequest(
            index=index, provider=provider, request=request, skip=skipped, warning=warning, expected=expected
        )

    def _usable(self, row: Row, request: ServiceRequest) -> phone.PhoneNumber | Reason:
        if row.fault:
            return row.fault
        if not row.values.get("name"):
            return Reason("no_name", "There is no name, and the assistant asks for the business by it; fill it in.")
        if self.needs_service and not request.service_needed:
            return Reason("no_service", "No service is named; fill the cell in, or name one for all with --service.")
        try:
            number = phone.parse(row.values.get("phone", ""), self.region)
            extension = phone.checked_extension(row.values.get("extension", ""))
        except PhoneError as error:
            return Reason(error.code, error.message)
        return replace(number, extension=extension) if extension else number

    def _held_back(self, number: str, row: Row, guards: Iterable[Guard]) -> Reason | None:
        if number in self.seen:
            return Reason("duplicate", f"duplicate of {self.seen[number]}")
        self.seen[number] = row.where
        return next((reason for guard in guards if (reason := guard(number))), None)


def _expected(text: str) -> tuple[float | None, str | None]:
    """Read how many seconds a call is expected to take; where that cannot be read, say so instead."""
    if not text:
        return None, None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if 0 < seconds <= _LONGEST:
        return seconds, None
    return None, f"{shown(text, _SHOWN)!r} is no length of a call in seconds, so nobody knows how long it will take."


def _provider(row: Row, number: str | None = None, extension: str | None = None) -> Provider:
    return Provider(
        name=row.values.get("name", ""),
        phone=number,
        phone_given=row.values.get("phone", ""),
        extension=extension,
        id=row.values.get("id") or None,
        line=row.line,
        extra=row.extra,
    )


def read_request(path: str | Path) -> dict[str, str]:
    """Read a service request from a TOML or JSON file, as field -> value.

    Takes the options' names (`service`, `client_name` …) and those of the document (`serviceNeeded`, `clientName` …),
    however they are spelled. Raises RequestFileError naming the file, the key and what to do.
    """
    found: dict[str, str] = {}
    for name, value in _parsed(Path(path), str(path)).items():
        known = _field_of(name, str(path))
        if known in found:
            raise RequestFileError(f"{path} gives {known} twice, the second time as {name!r}; keep one of them.")
        found[known] = _text(value, name, str(path))
    return found


def _parsed(path: Path, label: str) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise RequestFileError(f"{label} is not there; check the path.") from None
    except IsADirectoryError:
        raise RequestFileError(f"{label} is a folder; name the file in it.") from None
    except UnicodeDecodeError:
        raise RequestFileError(f"{label} is not UTF-8 text; save it as UTF-8.") from None
    except (OSError, ValueError) as error:
        raise RequestFileError(f"{label} cannot be read: {error}.") from None
    is_json = path.suffix.lower() == ".json" or (path.suffix.lower() != ".toml" and text.lstrip()[:1] == "{")
    try:
        found = json.loads(text) if is_json else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestFileError(f"{label} is not {'JSON' if is_json else 'TOML'}: {error}.") from None
    if not isinstance(found, dict):
        raise RequestFileError(f"{label} must hold one object with the fields of a service request.")
    return found


def _key(name: str) -> str:
    return "".join(filter(str.isalnum, name)).casefold()


_KNOWN = {_key(spelling): name for name, attribute in REQUEST_FIELDS.items() for spelling in (name, attribute)}


def _field_of(name: str, label: str) -> str:
    known = _KNOWN.get(_key(name))
    if known is None:
        near = get_close_matches(_key(name), _KNOWN, n=1)
        hint = f"did you mean {_KNOWN[near[0]]}?" if near else f"the fields are {', '.join(REQUEST_FIELDS)}."
        raise RequestFileError(f"{label} has an unknown field {name!r}; {hint}")
    return known


def _text(value: Any, name: str, label: str) -> str:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = "; ".join(value)
    if isinstance(value, bool | dict | list):
        raise RequestFileError(f"{label}: {name} must be a text.")
    text = "" if value is None else str(value).strip()
    if _NO_TEXT.search(text):
        raise RequestFileError(f"{label}: {name} has a character in it that no text can hold; write it again.")
    return text
