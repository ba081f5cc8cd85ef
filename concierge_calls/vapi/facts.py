"""Facts from a file as plain text that is safe to stand in Vapi's templates and short enough for its limits."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

# Liquid, which Vapi fills its texts with, begins everything with a brace.
_BRACES: Final = str.maketrans("{}", "()")
_SPACES: Final = frozenset({"Cc", "Zl", "Zp"})  # line ends and other control characters
_NOTHING: Final = frozenset({"Cf", "Co", "Cs"})  # bidi marks, joiners, private letters, halves of letters

MOST_COLUMNS: Final = 50
_COLUMN_LENGTH: Final = 500
_DEEPEST: Final = 3
# What Vapi fills in by itself (assistants/dynamic-variables).
_VAPIS_OWN: Final = frozenset(
    {
        "assistant",
        "call",
        "customer",
        "date",
        "day",
        "month",
        "now",
        "phoneNumber",
        "squad",
        "time",
        "transport",
        "year",
    }
)


def plain(value: Any, limit: int) -> str:
    """One line of text without braces, control and bidi characters; at most `limit` UTF-16 units, cut at a word."""
    text = as_text(value).translate(_BRACES)
    if not (text.isascii() and text.isprintable()):  # which most texts are, and to look at each letter takes long
        text = "".join(map(_letter, text))
    text = " ".join(text.split())
    return text if _units(text) <= limit else _cut(text, limit - 1) + "…"


def as_text(value: Any, depth: int = 0) -> str:
    """What a cell holds, as words: lists by commas, pairs by colons."""
    if value is None or depth > _DEEPEST:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {as_text(item, depth + 1)}" for key, item in value.items())
    if isinstance(value, Sequence):
        return ", ".join(as_text(item, depth + 1) for item in value)
    return str(value)


def columns(extra: Mapping[str, Any]) -> dict[str, str]:
    """The other columns of a row under names that Liquid takes: letters, digits and underscores, a letter first."""
    named = ((re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_"), value) for name, value in extra.items())
    usable = ((name, plain(value, _COLUMN_LENGTH)) for name, value in named if _is_variable(name))
    return dict(islice(usable, MOST_COLUMNS))


def _is_variable(name: str) -> bool:
    return name[:1].isalpha() and len(name) <= 40 and name not in _VAPIS_OWN


def _letter(letter: str) -> str:
    category = unicodedata.category(letter)
    if category in _SPACES:
        return " "
    return "" if category in _NOTHING else letter


def _units(text: str) -> int:
    """The length as JavaScript counts it, which is never below what JSON schema counts."""
    return len(text.encode("utf-16-le")) // 2


def _cut(text: str, limit: int) -> str:
    kept = text[:limit]
    while _units(kept) > limit:
        kept = kept[:-1]
    head, space, _ = kept.rpartition(" ")
    whole = text[len(kept) :].startswith(" ") or not space
    return (kept if whole else head).rstrip(" ,;:-")
