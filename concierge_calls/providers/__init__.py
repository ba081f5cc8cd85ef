"""A providers file (CSV, TSV, JSON, JSON lines, stdin) becomes providers, one by one; each fault names its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from concierge_calls.providers.headers import FIELDS, match
from concierge_calls.providers.objects import Items, JsonLines, is_lines
from concierge_calls.providers.row import Row
from concierge_calls.providers.source import Source
from concierge_calls.providers.table import Table

__all__ = ["FIELDS", "ProvidersFile", "Row", "read"]

_NOTHING: Mapping[str, str] = MappingProxyType({})


class ProvidersFile:
    """A file whose columns are known; iterating reads it from its beginning, row by row.

    `name` is the file's own name, "-" for standard input; `columns` its headers as given (JSON: dotted paths);
    `fields` which column gives which of our fields.
    """

    def __init__(self, name: str, document: Table | Items | JsonLines, fields: Mapping[str, str]) -> None:
        self.name = name
        self.columns = document.columns
        self.fields = fields
        self._document = document

    def __iter__(self) -> Iterator[Row]:
        """Yield every row; raises ProvidersFileError where the file cannot be read further."""
        return self._document.rows(self.fields)


def read(source: str | Path, *, map_: Mapping[str, str] = _NOTHING, stdin: BinaryIO | None = None) -> ProvidersFile:
    """Open a providers file and recognise its columns; `map_` names the column of a field that is not recognised.

    `source` is a path, or "-" for standard input; with `stdin` it is only what that is called. The format follows the
    suffix, and without one the first character. Raises ProvidersFileError for a file that cannot be used as a whole.
    """
    opened = Source(source, stdin)
    document = _document(opened)
    return ProvidersFile(opened.name, document, match(document.columns, map_, opened.label))


def _document(source: Source) -> Table | Items | JsonLines:
    if source.suffix in (".jsonl", ".ndjson"):
        return JsonLines(source)
    start = _first_character(source)
    if source.suffix not in (".csv", ".tsv") and (source.suffix == ".json" or start in ("[", "{")):
        return JsonLines(source) if start == "{" and is_lines(source) else Items(source)
    return Table(source)


def _first_character(source: Source) -> str:
    with source.text() as text:
        while piece := text.read(4096):
            if found := piece.lstrip():
                return found[0]
    raise source.fault("is empty; it needs a header such as name,phone and a line for each provider.")
