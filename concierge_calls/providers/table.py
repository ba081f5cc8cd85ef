"""CSV, and its relatives with semicolons, tabs or pipes, row by row."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence

from concierge_calls.models import Reason
from concierge_calls.providers.row import Row
from concierge_calls.providers.source import CELL_LIMIT, Source

_DELIMITERS = (",", ";", "\t", "|")
# Excel's own first line, which names the delimiter of what follows.
_EXCEL_HINT = re.compile(r'^\s*"?sep=(?P<delimiter>[^"\s]|\t)"?\s*$', re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"?')


class Table:
    """A table with a header; `columns` are its headers, told apart where two are the same."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._delimiter = self._find_delimiter()
        header = next(((line, cells) for line, cells in self._records() if not _is_hint(cells)), None)
        if header is None:
            raise source.fault("is empty; it needs a header such as name,phone and a line for each provider.")
        self._header_line, cells = header
        self.columns = _told_apart(cells)

    def rows(self, fields: Mapping[str, str]) -> Iterator[Row]:
        """Yield each line below the header that has anything in it."""
        places = {column: place for place, column in enumerate(self.columns)}
        used = [(field, places[column]) for field, column in fields.items()]
        rest = [(column, place) for column, place in places.items() if column not in fields.values()]
        width = len(self.columns)
        for line, cells in self._records():
            if line <= self._header_line:
                continue
            fault = None if len(cells) == width else _fitted(cells, width)
            yield Row(
                line,
                {field: cells[place].strip() for field, place in used},
                {column: cells[place] for column, place in rest},
                fault,
            )

    def _find_delimiter(self) -> str:
        header = next((line for line in self._source.lines() if line.strip()), "")
        hint = _EXCEL_HINT.match(header)
        if hint:
            return hint["delimiter"]
        bare = _QUOTED.sub("", header)
        return max(_DELIMITERS, key=bare.count)

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each row that is not blank, with the line where it begins."""
        csv.field_size_limit(CELL_LIMIT)
        lines = self._source.lines()
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True, skipinitialspace=True)
        begins = 1
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise self._source.fault(_told(error), begins) from None
            if any(map(str.strip, cells)):
                yield begins, cells
            begins = reader.line_num + 1


def _is_hint(cells: Sequence[str]) -> bool:
    return cells[0].strip().lower().startswith("sep=") and not any(map(str.strip, cells[1:]))


def _told(error: csv.Error) -> str:
    if "field larger" in str(error):
        return "has a cell longer than 1 MB; most likely a quotation mark in it is never closed. Mend it."
    return "has quotation marks that do not match; write a quotation mark inside a quoted cell twice."


def _told_apart(headers: Sequence[str]) -> tuple[str, ...]:
    """Give each column a name of its own: `Phone`, `Phone (2)`; one without any is called by its number."""
    names: list[str] = []
    for number, header in enumerate(headers, 1):
        name = given = header.strip() or f"column {number}"
        again = 2
        while name in names:
            name, again = f"{given} ({again})", again + 1
        names.append(name)
    return tuple(names)


def _fitted(cells: list[str], width: int) -> Reason | None:
    """Bring a row to the header's width in place; empty cells too many do no harm, all else is a fault."""
    while len(cells) > width and not cells[-1].strip():
        cells.pop()
    had = len(cells)
    cells.extend([""] * (width - had))
    if had < width:
        return Reason("too_few_cells", f"The row has {had} cells where the header has {width}; add what is missing.")
    if had > width:
        advice = "put a cell that has a delimiter in it between quotation marks"
        return Reason("too_many_cells", f"The row has {had} cells where the header has {width}; {advice}.")
    return None
