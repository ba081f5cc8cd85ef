"""Compares what the simulator's ledger knows with what a run's document says: who was rung twice, what was lost."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

UNFINISHED = ("pending", "in_progress", "not_called", "skipped")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The numbers, or the indices of rows, for which a promise was broken; and the price of keeping the first one."""

    rung_twice: list[str]  # the ledger has more than one call, those apart that were taken back before they rang
    lost: list[str]  # called, and the document does not say how that call went
    without_id: list[str]  # called, and the document does not have the call's id
    missing: list[int]  # rows of the file without their entry
    never_rang: list[str]  # uncertain, and nobody's phone rang
    unexplained: list[str]  # those of them that were not being dialled at any kill

    @property
    def broken(self) -> dict[str, list[Any]]:
        """The promises that were not kept, each with those who have the harm."""
        kinds = ("rung_twice", "lost", "without_id", "missing", "unexplained")
        return {kind: found for kind in kinds if (found := getattr(self, kind))}


def compare(numbers: Sequence[str], ledger: Any, document: Any, dialing: Collection[str] = ()) -> Verdict:
    """Return what is wrong with a finished run's document.

    `numbers` are those of the file, in its order, none of them twice; `dialing` are those that were being dialled when
    a process was killed.
    """
    rang = ledger["numbers"]
    results = dict(enumerate(document["results"]))
    missing = [index for index, number in enumerate(numbers) if not _is_of(results.get(index), index, number)]
    entries = {number: results.get(index) or {} for index, number in enumerate(numbers)}
    called = {number: [call for call in entry["calls"] if not _taken_back(call)] for number, entry in rang.items()}
    uncertain = [number for number in numbers if entries[number].get("status") == "uncertain"]
    never_rang = [number for number in uncertain if number not in called]
    return Verdict(
        rung_twice=[number for number, calls in called.items() if len(calls) > 1],
        lost=[number for number, calls in called.items() if _is_lost(entries.get(number, {}), calls)],
        without_id=[number for number, calls in called.items() if not _call_of(entries.get(number, {}), calls)],
        missing=missing + ([] if document["run"]["finished"] and len(results) == len(numbers) else [-1]),
        never_rang=never_rang,
        unexplained=[number for number in never_rang if number not in dialing],
    )


def _taken_back(call: Any) -> bool:
    return call["rangAt"] is None and call["endedReason"] == "scheduled-call-deleted"


def _is_of(result: Any, index: int, number: str) -> bool:
    return result is not None and (result["index"], result["provider"]["phone"]) == (index, number)


def _call_of(entry: Any, calls: Any) -> Any:
    return next((call for call in calls if call["id"] == entry.get("callId")), None)


def _is_lost(entry: Any, calls: Any) -> bool:
    if (call := _call_of(entry, calls)) is None or entry["status"] in UNFINISHED:
        return True
    analysed = call["analysedAt"] is not None and entry["status"] == "completed"
    return entry["endedReason"] != call["endedReason"] or (analysed and entry["analysis"]["status"] != "complete")
