"""Other people's text made safe to show: one line, without control characters or tricks of direction."""

from __future__ import annotations

import re
import unicodedata

# Cc and Cf hold terminal escapes and bidirectional overrides; Cs, Co and Cn draw nothing that can be relied on.
UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
# Nine digits or more with what people write between them; dates, prices and ids with letters in them are left alone.
NUMBER = re.compile(r"(?<![\w$€£…-])(?!\d{4}-\d\d-\d\d\b)[+(]{0,2}\d(?:[ ().\-/]{0,3}\d){8,}(?![\w-])")


def one_line(text: str, longest: int | None = None) -> str:
    """Return the text on one line, white space folded, cut with an ellipsis at so many characters."""
    folded = " ".join(harmless(text).split())
    if longest is not None and len(folded) > longest:
        return folded[: max(0, longest - 1)].rstrip() + "…"
    return folded


def masked(text: str) -> str:
    """Return the text with every phone number in it cut to its last four digits."""
    return NUMBER.sub(lambda found: f"…{''.join(filter(str.isdecimal, found[0]))[-4:]}", text)


def shown(text: str, longest: int | None = None) -> str:
    """Return the text as anybody may see it: on one line, phone numbers cut to their last digits, then perhaps cut."""
    # Masked before it is cut: half a number would no longer be known for one.
    return one_line(masked(one_line(text)), longest)


def harmless(text: str) -> str:
    """Return the text without what would change how a terminal shows it, and with plain spaces as they stood."""
    if text.isascii() and text.isprintable():  # nearly all of it, and a file may have very many cells
        return text
    spaced = "".join(" " if char.isspace() else char for char in text)
    return "".join(char for char in spaced if unicodedata.category(char) not in UNSAFE)


def clock(seconds: float) -> str:
    """Return a length of time as people read it: 2:05, or 1:02:05."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def count(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: 1 provider, 2 providers."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
