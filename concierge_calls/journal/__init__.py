"""The SQLite record of every run: what was asked, what was dialled, and what came of it."""

from concierge_calls.journal.entries import Attempt, Claim, Clock, DoNotCall, HistoryRow, LineSpan, NewRun, Owner
from concierge_calls.journal.figures import seconds_on_the_line
from concierge_calls.journal.guards import asked_not_to_be_called, called_lately, still_on_the_line
from concierge_calls.journal.reading import Results
from concierge_calls.journal.record import RunRecord
from concierge_calls.journal.runs import Journal

__all__ = [
    "Attempt",
    "Claim",
    "Clock",
    "DoNotCall",
    "HistoryRow",
    "Journal",
    "LineSpan",
    "NewRun",
    "Owner",
    "Results",
    "RunRecord",
    "asked_not_to_be_called",
    "called_lately",
    "seconds_on_the_line",
    "still_on_the_line",
]
