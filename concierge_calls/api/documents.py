"""A run's document as it is answered: read as it is sent, and while the run goes on in agreement with itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from tempfile import SpooledTemporaryFile
from typing import Any

from starlette.responses import StreamingResponse

from concierge_calls import report
from concierge_calls.api.problems import Problem
from concierge_calls.journal import Journal
from concierge_calls.models import CallResult, CallStatus, RunResult, RunStats

PIECE = 64 * 1024  # characters that are sent at once
IN_MEMORY = 1024 * 1024  # characters of the results of a run that goes on, before they are put aside on the disk
_NO_ROOM = "The results could not be put aside in the folder for temporary files; free some room there and ask again."


class Tally:
    """Counts results as they pass."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._timed = 0
        self._seconds = self._cost = 0.0

    def __repr__(self) -> str:
        return f"<Tally {dict(self._counts)}>"

    def passing(self, results: Iterable[CallResult]) -> Iterator[Mapping[str, Any]]:
        """Yield each result as it stands in the document, and count it."""
        for result in results:
            self._counts[result.status.counted_as] += 1
            if result.started_at is not None and result.ended_at is not None:
                self._timed, self._seconds = self._timed + 1, self._seconds + result.duration
            self._cost += result.cost or 0.0
            yield report.result_document(result)

    def stats(self, latest: RunStats) -> RunStats:
        """Return the figures of those that have passed; what is no sum of theirs is the run's latest."""
        counts = {status.counted_as: self._counts[status.counted_as] for status in CallStatus}
        return replace(
            latest,
            **counts,
            total=self._counts.total(),
            average_call_duration=self._seconds / self._timed if self._timed else 0.0,
            cost=self._cost,
        )


def document(journal: Journal, result: RunResult) -> StreamingResponse:
    """Return the run's document as an answer; raises Problem when the disk has no room for that of a run that goes on.

    Its figures are those of the very results in it, though these change while they are read.
    """
    if result.run.finished:
        return StreamingResponse(_gathered(report.pieces(result)), media_type="application/json")
    pieces = _as_it_goes_on(journal, result)
    try:
        first = next(pieces)  # by then all of it has been read
    except OSError:
        raise Problem(507, _NO_ROOM) from None
    return StreamingResponse(chain([first], pieces), media_type="application/json")


def _as_it_goes_on(journal: Journal, result: RunResult) -> Iterator[str]:
    tally = Tally()
    with SpooledTemporaryFile(IN_MEMORY, "w+", encoding="utf-8", newline="") as aside:
        aside.writelines(report.listed(tally.passing(result.results)))
        aside.seek(0)
        stats = report.stats_document(tally.stats(journal.result(result.run.id).stats))
        run = report.run_document(result.run)
        yield f'{{\n"run": {report.as_json(run)},\n"stats": {report.as_json(stats)},\n"results": '
        while piece := aside.read(PIECE):
            yield piece
        yield "}\n"


def _gathered(pieces: Iterator[str]) -> Iterator[str]:
    held: list[str] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= PIECE:
            yield "".join(held)
            held, size = [], 0
    yield "".join(held)
