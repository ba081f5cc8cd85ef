"""JSON and JSON lines, item by item, without ever holding the whole file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from concierge_calls.models import Reason
from concierge_calls.providers.cursor import DECODER, Cursor, Path
from concierge_calls.providers.headers import NEEDED, recognised
from concierge_calls.providers.row import Row
from concierge_calls.providers.source import CELL_LIMIT, Source

_DEPTH_OF_COLUMN = 3
_DEPTH_OF_VALUE = 50
_COLUMN_LIMIT = 2000
_USUAL = ("providers", "places", "local_results", "businesses", "companies", "results", "customers", "items", "data")
_UNTEXT = re.compile("[\0\ud800-\udfff]")


class Items:
    """The objects of one array: the document itself, or the one array of providers in it."""

    unit = "item"

    def __init__(self, source: Source) -> None:
        self._source = source
        found: dict[Path, dict[str, Path]] = {}
        for path, _, item in self._walk():
            if isinstance(item, dict):
                _learn(found.setdefault(path, {}), item)
        self._path = self._choose(found)
        self._columns = found[self._path]
        self.columns = tuple(self._columns)

    def rows(self, fields: Mapping[str, str]) -> Iterator[Row]:
        """Yield each item of the array."""
        paths = {field: self._columns[column] for field, column in fields.items()}
        for path, number, item in self._walk():
            if path == self._path:
                yield _row(item, number, paths, self.unit, self._source)

    def _walk(self) -> Iterator[tuple[Path, int, Any]]:
        with self._source.text() as text:
            yield from Cursor(text, self._source).document()

    def _choose(self, found: Mapping[Path, Mapping[str, Path]]) -> Path:
        usable = [path for path, columns in found.items() if set(NEEDED) <= recognised(columns).keys()]
        candidates = usable or list(found)
        if not candidates:
            raise self._source.fault("has no array of objects in it; give it one with an object for each provider.")
        if len(candidates) == 1:
            return candidates[0]
        usual = sorted((_USUAL.index(path[-1]), path) for path in candidates if path[-1] in _USUAL)
        if not usual:
            names = ", ".join(".".join(path) for path in candidates)
            raise self._source.fault(
                f"has more than one array that could be the providers ({names}); keep one of them."
            )
        return usual[0][1]


class JsonLines:
    """JSON lines: an object a line."""

    unit = "line"

    def __init__(self, source: Source) -> None:
        self._source = source
        self._columns: dict[str, Path] = {}
        broken: str | None = None
        for number, item in self._items():
            if isinstance(item, dict):
                _learn(self._columns, item)
            elif isinstance(item, Reason):
                broken = broken or f"has no line that can be read; in line {number}: {item.message}"
        if broken is not None and not self._columns:
            raise source.fault(broken)
        self.columns = tuple(self._columns)
        if not self.columns:
            raise source.fault("has no objects in it; give it one object a line, with a name and a phone.")

    def rows(self, fields: Mapping[str, str]) -> Iterator[Row]:
        """Yield each line that is not blank."""
        paths = {field: self._columns[column] for field, column in fields.items()}
        for number, item in self._items():
            if isinstance(item, Reason):
                yield Row(number, dict.fromkeys(paths, ""), {}, item, self.unit)
            else:
                yield _row(item, number, paths, self.unit, self._source)

    def _items(self) -> Iterator[tuple[int, Any]]:
        for number, line in enumerate(self._source.lines(), 1):
            if line.strip():
                yield number, _whole(line)


def is_lines(source: Source) -> bool:
    """Whether text that begins with { is JSON lines: its first line is an object, and there is no array in it."""
    lines = (line for line in source.lines() if line.strip())
    try:
        item = DECODER.decode(next(lines, ""))
    except (ValueError, RecursionError):
        return False
    return isinstance(item, dict) and (next(lines, None) is not None or not _holds_array(item))


def _holds_array(item: Mapping[str, Any]) -> bool:
    below = [*item.values(), *(value for each in item.values() if isinstance(each, dict) for value in each.values())]
    return any(isinstance(value, list) and any(isinstance(each, dict) for each in value) for value in below)


def _whole(line: str) -> Any:
    """Read one line, or say why it cannot be read; the others are none the worse for it."""
    try:
        return DECODER.decode(line)
    except json.JSONDecodeError as error:
        return Reason("not_json", f"This is not JSON (column {error.pos + 1}: {error.msg}); mend the line.")
    except (ValueError, RecursionError) as error:
        return Reason("not_json", f"This is not JSON that can be read ({error}); mend the line.")


def _learn(columns: dict[str, Path], item: Mapping[str, Any]) -> None:
    """Add the columns of one more object; there is an end to it, for a file whose names are data."""
    if len(columns) < _COLUMN_LIMIT:
        columns.update(_leaves(item))


def _leaves(item: Mapping[str, Any], above: Path = ()) -> dict[str, Path]:
    """Name every column of an object, nested ones by their dotted path."""
    found: dict[str, Path] = {}
    for name, value in item.items():
        path = (*above, _text_of(name))
        if isinstance(value, dict) and len(path) < _DEPTH_OF_COLUMN:
            found.update(_leaves(value, path))
        else:
            found[".".join(path)] = path
    return found


def _row(item: Any, number: int, paths: Mapping[str, Path], unit: str, source: Source) -> Row:
    if not isinstance(item, dict):
        fault = Reason("not_an_object", 'This is not an object; write it as {"name": "…", "phone": "…"}.')
        return Row(number, dict.fromkeys(paths, ""), {}, fault, unit)
    values = {field: _said(_dug(item, path)) for field, path in paths.items()}
    if any(len(value) > CELL_LIMIT for value in values.values()):
        raise source.fault(f"has a value longer than 1 MB in {unit} {number}; shorten it.")
    used = {path[0] for path in paths.values() if len(path) == 1}
    try:
        extra = {_text_of(name): _clean(value) for name, value in item.items() if name not in used}
    except RecursionError:
        fault = Reason("too_deep", "The object is nested too deeply; take what is not needed out of it.")
        return Row(number, values, {}, fault, unit)
    return Row(number, values, extra, None, unit)


def _dug(item: Any, path: Path) -> Any:
    for name in path:
        item = item.get(name) if isinstance(item, dict) else None
    return item


def _said(value: Any) -> str:
    """Write a JSON value as the text of a cell; a list as its parts, an object as nothing."""
    if isinstance(value, str):
        return _text_of(value).strip()
    if value is None or isinstance(value, dict):
        return ""
    if isinstance(value, list):
        return "; ".join(_said(part) for part in value if part and not isinstance(part, list))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text_of(text: str) -> str:
    """Replace what JSON can escape but no text can hold: NUL and halves of a character."""
    return text if text.isascii() and "\0" not in text else _UNTEXT.sub("\N{REPLACEMENT CHARACTER}", text)


def _clean(value: Any, deeper: int = _DEPTH_OF_VALUE) -> Any:
    """Clean all texts in a value; raises RecursionError for one that nobody behind this could write out again."""
    if isinstance(value, str):
        return _text_of(value)
    if not isinstance(value, list | dict):
        return value
    if not deeper:
        raise RecursionError
    if isinstance(value, list):
        return [_clean(each, deeper - 1) for each in value]
    return {_text_of(name): _clean(each, deeper - 1) for name, each in value.items()}
