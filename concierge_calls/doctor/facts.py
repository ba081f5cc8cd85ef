"""What was found of the settings, of Vapi and of the journal, before anything is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from concierge_calls.errors import JournalError, ReadFailed

if TYPE_CHECKING:
    from concierge_calls.settings.loading import Settings
    from concierge_calls.vapi.schemas import Assistant, Call, PhoneNumber

MOST_CALLS: Final = 200  # of the list; each comes with all that was said


@dataclass(frozen=True, slots=True)
class SettingsFacts:
    """What is set; a setting that is wrong has its default here, and its name in `wrong`."""

    settings: Settings
    wrong: frozenset[str] = frozenset()
    faults: tuple[str, ...] = ()  # a sentence each


@dataclass(frozen=True, slots=True, kw_only=True)
class VapiFacts:
    """What Vapi answered; None where it was not asked, the error where it said no or nothing."""

    number: PhoneNumber | ReadFailed | None = None
    assistant: Assistant | ReadFailed | None = None
    calls: Sequence[Call] | ReadFailed | None = None  # those that began in the last hour
    ahead: float | None = None  # seconds that Vapi's clock is ahead of this machine's
    ended: frozenset[str] = frozenset()  # calls that would not end, and have now

    def answers(self) -> list[object]:
        """Return what came of each question that was asked."""
        return [answer for answer in (self.number, self.assistant, self.calls) if answer is not None]


@dataclass(frozen=True, slots=True)
class UnfinishedRun:
    """A run that was begun and not finished."""

    id: str
    source: str
    is_worked_on: bool  # a process is at it now
    left: int = 0  # providers whom nobody has called yet


@dataclass(frozen=True, slots=True)
class UnendedCall:
    """A call that was hung up and would not end, so that it may still be on the line."""

    id: str
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Room on the journal's disk, in bytes, and what a run keeps of it for the results of its calls."""

    free: int
    wanted: int
    lines: int  # that a run takes


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFacts:
    """What the journal holds that somebody should know before the next run."""

    path: Path
    fault: JournalError | None = None  # why it cannot be used
    unfinished: tuple[UnfinishedRun, ...] = ()
    unwritten: tuple[str, ...] = ()  # finished runs that nobody works on, whose document was never written
    unended: tuple[UnendedCall, ...] = ()
    disk: Disk | None = None
