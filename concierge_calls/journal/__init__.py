"""The SQLite record of every run: what was asked, what was dialled, and what came of it."""

from concierge_calls.journal.directions import to_resume
from concierge_calls.journal.entries import (
    Attempt,
    Claim,
    Clock,
    DoNotCall,
    HistoryRow,
    LeftOver,
    LineSpan,
    NewRun,
    Owner,
    RequestKey,
)
from concierge_calls.journal.figures import seconds_on_the_line
from concierge_calls.journal.guards import ON_THE_LINE, asked_not_to_be_called, called_lately, still_on_the_line
from concierge_calls.journal.handovers import Handover
from concierge_calls.journal.homecoming import NOT_TOLD, OnTheLine
from concierge_calls.journal.longest import ToldBy
from concierge_calls.journal.looks import Look
from concierge_calls.journal.reading import Results
from concierge_calls.journal.record import RunRecord
from concierge_calls.journal.runs import Journal

__all__ = [
    "NOT_TOLD",
    "ON_THE_LINE",
    "Attempt",
    "Claim",
    "Clock",
    "DoNotCall",
    "Handover",
    "HistoryRow",
    "Journal",
    "LeftOver",
    "LineSpan",
    "Look",
    "NewRun",
    "OnTheLine",
    "Owner",
    "RequestKey",
    "Results",
    "RunRecord",
    "ToldBy",
    "asked_not_to_be_called",
    "called_lately",
    "seconds_on_the_line",
    "still_on_the_line",
    "to_resume",
]
