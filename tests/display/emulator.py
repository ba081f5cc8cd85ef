"""A small terminal that wraps lines anew when it is resized, as tmux and VTE do, and keeps what leaves the top."""

from __future__ import annotations

import io
import re

from rich.cells import cell_len

PIECE = re.compile(r"\x1b\[(?P<figure>\d*)(?P<command>[A-Za-z])|\x1b\[[\d;]*m|(?P<sign>[\s\S])")


class Emulator(io.StringIO):
    """A screen of so many columns and rows; a row is its text and whether it goes on in the next one."""

    def __init__(self, columns: int, rows: int, *, may_wrap: bool = False) -> None:
        super().__init__()
        self._may_wrap = may_wrap  # whether a line may be wider than the screen
        self.columns, self.rows = columns, rows
        self.history: list[tuple[str, bool]] = []
        self.screen: list[tuple[str, bool]] = [("", False)]
        self.x = self.y = 0
        self.written: list[str] = []

    def isatty(self) -> bool:
        return True

    def size(self) -> tuple[int, int]:
        """Columns and rows, as a program asks for them."""
        return self.columns, self.rows

    def write(self, text: str) -> int:
        """Do what the text asks for."""
        self.written.append(text)
        for piece in PIECE.finditer(text):
            if (sign := piece["sign"]) is not None:
                self._sign(sign)
            elif piece["command"] and piece["command"] != "m":
                getattr(self, f"_{piece['command']}")(int(piece["figure"] or 1))
        return len(text)

    @property
    def lines(self) -> list[str]:
        """What can be read on the screen."""
        texts = [text.rstrip() for text, _ in self.screen]
        while texts and not texts[-1]:
            texts.pop()
        return texts

    def resize(self, columns: int, rows: int) -> None:
        """Wrap everything anew; a screen that gets room shows what had left it, and the cursor stays on its line."""
        self.columns, self.rows = columns, rows
        wrapped: list[tuple[str, bool]] = []
        line, at = "", len(self.history) + self.y
        for number, (text, goes_on) in enumerate(self.history + self.screen):
            if number == at:
                cursor = len(wrapped)
            line += text
            if not goes_on:
                wrapped += self._wrapped(line)
                line = ""
        top = max(0, len(wrapped) - rows)
        self.history, self.screen, self.y = wrapped[:top], wrapped[top:], cursor - top

    def _wrapped(self, line: str) -> list[tuple[str, bool]]:
        rows, current = [], ""
        for char in line:
            if cell_len(current + char) > self.columns:
                rows.append((current, True))
                current = ""
            current += char
        return [*rows, (current, False)]

    def _sign(self, sign: str) -> None:
        if sign == "\r":
            self.x = 0
        elif sign == "\n":
            self.x = 0  # as the terminal's driver has it
            self._down()
        else:
            assert sign.isprintable()
            text = self.screen[self.y][0]
            if cell_len(text[: self.x] + sign) > self.columns:
                assert self._may_wrap, "a line is wider than the screen"
                self.screen[self.y] = (text, True)
                self.x, text = 0, ""
                self._down()
            self.screen[self.y] = (text[: self.x].ljust(self.x) + sign + text[self.x + 1 :], False)
            self.x += 1

    def _down(self) -> None:
        self.y += 1
        if self.y == len(self.screen):
            self.screen.append(("", False))
        if len(self.screen) > self.rows:
            self.history.append(self.screen.pop(0))
            self.y -= 1

    def _A(self, rows: int) -> None:  # noqa: N802  a command's own letter
        self.y = max(0, self.y - rows)

    def _K(self, _: int) -> None:  # noqa: N802  a command's own letter
        self.screen[self.y] = (self.screen[self.y][0][: self.x], False)

    def _J(self, _: int) -> None:  # noqa: N802  a command's own letter
        assert (self.x, self.y) != (0, 0), "tmux keeps in its history what is cleared from here"
        self._K(1)
        del self.screen[self.y + 1 :]
