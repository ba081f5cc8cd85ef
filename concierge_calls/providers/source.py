"""A providers file as bytes that can be read more than once, and as text in whatever encoding it is."""

from __future__ import annotations

import codecs
import io
import os
import shutil
import stat
import sys
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, TextIO

from concierge_calls.errors import ProvidersFileError

# No line of a table and no item of JSON may be longer; it bounds the memory that a broken file can cost.
PIECE_LIMIT = 8 * 1024 * 1024
CELL_LIMIT = 1024 * 1024

_CHUNK = 64 * 1024
_SAVE_AS_CSV = "open it in the program that made it and save it as CSV"
_NOT_TEXT = frozenset({".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers", ".pdf", ".docx", ".doc", ".parquet"})
_MAGIC = {
    b"PK\x03\x04": "a spreadsheet or a zip file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"%PDF": "a PDF file",
    b"\x1f\x8b": "a compressed file",
    b"PAR1": "a Parquet file",
    b"SQLi": "a database",
}
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# Python's cp1252 leaves five bytes undefined, which Latin-1 has: so the last never fails.
_UNMARKED = ("utf-8", "cp1252", "latin-1")


class Source:
    """The bytes of a path or of standard input; what cannot be read twice is kept in a temporary file."""

    def __init__(self, given: str | Path, stdin: BinaryIO | None = None) -> None:
        self.is_stdin = str(given) == "-"
        self.path = Path(given)
        self.name = "-" if self.is_stdin else self.path.name
        self.label = "standard input" if self.is_stdin else str(given)
        self._kept: BinaryIO | None = None
        with self._told():
            if stdin is not None or self.is_stdin:
                self._keep(stdin or self._standard_input())
            elif not self._regular():
                with self.path.open("rb") as pipe:
                    self._keep(pipe)

    @property
    def suffix(self) -> str:
        """The path's suffix in small letters, which says what format the file is."""
        return "" if self.is_stdin else self.path.suffix.lower()

    @cached_property
    def encoding(self) -> str:
        """The encoding by which the whole file can be read; raises ProvidersFileError when it is no text."""
        with self.open() as binary:
            head = binary.read(4)
        kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
        if kind or self.suffix in _NOT_TEXT:
            raise self.fault(f"is {kind or f'a {self.suffix} file'}, not text; {_SAVE_AS_CSV}.")
        marked = next((codec for mark, codec in _MARKS.items() if head.startswith(mark)), None)
        fitting = next((codec for codec in ((marked,) if marked else _UNMARKED) if self._reads_as(codec)), None)
        if fitting is None:
            raise self.fault(f"says that it is {marked} but is not; save it again as UTF-8.")
        return fitting

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open the bytes from their beginning."""
        with self._told():
            if self._kept is None:
                binary: BinaryIO = self.path.open("rb")
            else:
                self._kept.seek(0)
                binary = os.fdopen(os.dup(self._kept.fileno()), "rb")
            with binary:
                yield binary

    @contextmanager
    def text(self) -> Iterator[TextIO]:
        """Open the text from its beginning, line ends as they are."""
        encoding = self.encoding
        with self.open() as binary, io.TextIOWrapper(binary, encoding=encoding, newline="") as text:
            yield text

    def lines(self) -> Iterator[str]:
        """Yield every line of the text; raises ProvidersFileError for one longer than 8 MB."""
        with self.text() as text:
            number = 0
            while line := text.readline(PIECE_LIMIT):
                number += 1
                if len(line) == PIECE_LIMIT:
                    raise self.fault("is longer than 8 MB, so it is no list of providers.", number)
                yield line

    def fault(self, what: str, line: int | None = None, column: int | None = None) -> ProvidersFileError:
        """Make the error that names this file and the place in it."""
        where = "" if line is None else f", line {line}" if column is None else f", line {line}, column {column}"
        return ProvidersFileError(f"{self.label}{where} {what}")

    def _standard_input(self) -> BinaryIO:
        if sys.stdin is None:
            raise self.fault("is closed; name a file instead.")
        return sys.stdin.buffer

    def _regular(self) -> bool:
        try:
            mode = self.path.stat().st_mode
        except ValueError as error:
            raise self.fault(f"is no path: {error}.") from None
        if stat.S_ISDIR(mode):
            raise self.fault("is a folder; name the file in it.")
        return stat.S_ISREG(mode)

    def _keep(self, stream: BinaryIO) -> None:
        kept = tempfile.TemporaryFile()  # noqa: SIM115 — it lives as long as this object
        weakref.finalize(self, kept.close)
        shutil.copyfileobj(stream, kept)
        kept.flush()
        self._kept = kept

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise self.fault("is not there; check the path.") from None
        except PermissionError:
            raise self.fault("may not be read; check its permissions.") from None
        except UnicodeDecodeError:
            raise self.fault("was changed while it was read; run the same command again.") from None
        except OSError as error:
            raise self.fault(f"cannot be read: {error.strerror or error}.") from None

    def _reads_as(self, codec: str) -> bool:
        decoder = codecs.getincrementaldecoder(codec)()
        line = 1
        with self.open() as binary:
            while chunk := binary.read(_CHUNK):
                try:
                    text = decoder.decode(chunk)
                except UnicodeDecodeError:
                    return False
                if "\0" in text:
                    line += text.count("\n", 0, text.index("\0"))
                    raise self.fault(f"has NUL bytes, so it is not text; {_SAVE_AS_CSV} (UTF-8).", line)
                line += text.count("\n")
            try:
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                return False
        return True
