"""A check's result: its name, how it came out, and a sentence that says what is and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from concierge_calls.plain import masked, one_line

LONGEST_NAME = 40  # characters of a name that somebody gave


class State(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"  # a run would work, and somebody should know this first
    WRONG = "wrong"  # a run would not work


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked."""

    name: str
    state: State
    sentence: str


def shown(text: str) -> str:
    """Return other people's words as they may stand in a sentence."""
    return masked(one_line(text, LONGEST_NAME))
