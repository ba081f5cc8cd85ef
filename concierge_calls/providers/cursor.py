"""JSON text, walked value by value, so that no more of it is held than the value at hand."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn, TextIO

from concierge_calls.providers.source import PIECE_LIMIT, Source

Path = tuple[str, ...]

# An object may hold its array at the top (`places`) or one level below (`data.places`, `local_results.places`).
_DEPTH_OF_ARRAY = 2
_CHUNK = 65536
_BLANK = re.compile(r"[ \t\r\n]*")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


class Cursor:
    """A place in JSON text; it keeps no more of the text than the value at hand."""

    def __init__(self, text: TextIO, source: Source) -> None:
        self._text = text
        self._source = source
        self._buffer = ""
        self._at = 0
        self._line = 1  # of the buffer's first character
        self._column = 1

    def document(self) -> Iterator[tuple[Path, int, Any]]:
        """Yield the items of every array that can be the providers: its path, the item's number from 1, the item."""
        if self._peek() not in ("[", "{"):
            self._fail("is not JSON: it must begin with [ or {.", self._at)
        yield from self._elements(()) if self._peek() == "[" else self._members((), {})
        if self._peek():
            self._fail("has more text after its end; JSON lines have one object a line and end in .jsonl.", self._at)

    def _members(self, path: Path, counts: dict[Path, int]) -> Iterator[tuple[Path, int, Any]]:
        self._take("{")
        if self._peek() == "}":
            self._take("}")
            return
        while True:
            if self._peek() != '"':
                self._fail("is not JSON: a name in quotation marks is expected.", self._at)
            name = self._value()
            self._take(":")
            below = (*path, name)
            if self._peek() == "[":
                yield from self._elements(below, counts)
            elif self._peek() == "{" and len(below) < _DEPTH_OF_ARRAY:
                yield from self._members(below, counts)
            else:
                self._value()
            if self._take(",}") == "}":
                return

    def _elements(self, path: Path, counts: dict[Path, int] | None = None) -> Iterator[tuple[Path, int, Any]]:
        counts = {} if counts is None else counts
        self._take("[")
        if self._peek() == "]":
            self._take("]")
            return
        while True:
            counts[path] = counts.get(path, 0) + 1
            yield path, counts[path], self._value()
            if self._take(",]") == "]":
                return

    def _value(self) -> Any:
        size = _CHUNK
        while True:
            self._peek()
            value, end, problem = self._attempt()
            if not problem and end < len(self._buffer):
                self._at = end
                return value
            # What fails, or touches the end of the buffer, may go on in the file.
            taken = end - self._at
            if len(self._buffer) - self._at <= PIECE_LIMIT and self._more(size):
                size *= 2
                continue
            if problem:
                self._fail(f"is not JSON: {problem}.", self._at + taken)
            self._at += taken
            return value

    def _attempt(self) -> tuple[Any, int, str]:
        """Decode the value at hand: it, where it ends, and what is wrong with it there."""
        try:
            value, end = DECODER.raw_decode(self._buffer, self._at)
        except json.JSONDecodeError as error:
            return None, error.pos, error.msg
        except (ValueError, RecursionError) as error:
            self._fail(f"is not JSON that can be read: {error}.", self._at)
        return value, end, ""

    def _peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            self._at = _BLANK.match(self._buffer, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more(_CHUNK):
                return ""

    def _take(self, wanted: str) -> str:
        found = self._peek()
        if not found or found not in wanted:
            self._fail(f"is not JSON: {' or '.join(wanted)} is expected.", self._at)
        self._at += 1
        return found

    def _more(self, size: int) -> bool:
        """Let go of what was read and append the next piece; False at the end of the file."""
        self._line, self._column = self._place(self._at)
        piece = self._text.read(size)
        self._buffer = self._buffer[self._at :] + piece
        self._at = 0
        return bool(piece)

    def _place(self, position: int) -> tuple[int, int]:
        newlines = self._buffer.count("\n", 0, position)
        if not newlines:
            return self._line, self._column + position
        return self._line + newlines, position - self._buffer.rindex("\n", 0, position)

    def _fail(self, what: str, position: int) -> NoReturn:
        raise self._source.fault(what, *self._place(position))
