"""Text measured in the terminal's cells, of which a Chinese character takes two and an accent none."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

VARIATION = dict.fromkeys(range(0xFE00, 0xFE10))  # terminals disagree on how wide these make what stands before them


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The signs that the terminal can show."""

    ellipsis: str
    full: str
    empty: str
    ascii_only: bool = False

    def spelled(self, text: str) -> str:
        """Return the text in signs that the terminal can show, each other one as its nearest kin or `?`."""
        if not self.ascii_only:
            return text.translate(VARIATION)
        if text.isascii():
            return text
        known = unicodedata.normalize("NFKD", text.replace("…", self.ellipsis))
        bare = "".join(char for char in known if not unicodedata.combining(char))
        return bare.translate(VARIATION).encode("ascii", "replace").decode()


UNICODE = Glyphs("…", "█", "░")
ASCII = Glyphs("...", "#", "-", ascii_only=True)


def cut(text: str, width: int, ellipsis: str = "…") -> str:
    """Return the text, cut with an ellipsis where it takes more than so many cells."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - len(ellipsis))).rstrip() + ellipsis[: max(0, width)]


def wrapped(text: str, width: int) -> list[str]:
    """Return the text broken at spaces into lines of so many cells; a word that takes more has a line for itself."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def folded(text: str, width: int, most: int, ellipsis: str = "…") -> list[str]:
    """Return the text broken at spaces into lines of so many cells, at most so many; what is too much is cut."""
    lines = wrapped(text, width)
    lines[most - 1 :] = [" ".join(lines[most - 1 :])] if len(lines) >= most else []
    return [cut(line, width, ellipsis) for line in lines]


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Return the text with spaces up to so many cells, before it where it goes to the right."""
    blank = " " * (width - cell_len(text))
    return blank + text if right else text + blank


def rows_taken(text: str, columns: int) -> int:
    """Return how many rows the text takes on a terminal that wraps it after so many columns; an empty one takes one."""
    if text.isascii():
        return max(1, -(-len(text) // columns))
    rows, used = 1, 0
    for char in text:
        width = cell_len(char)
        if used + width > columns:  # a wide character does not straddle the edge
            rows, used = rows + 1, 0
        used += width
    return rows
