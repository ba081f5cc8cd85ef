"""Who is best, for the screen and the page: those who can come first, those who are ruled out last."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from concierge_calls.models import CallResult, CallStatus
from concierge_calls.plain import shown

ANSWERS = {  # of an assistant's `availability`
    "available": "available",
    "callback_requested": "call back",
    "unclear": "unclear",
    "unavailable": "unavailable",
}
UNCLEAR, DISQUALIFIED = "unclear", "disqualified"
CANDIDATES = ("available", "call back")
NOT_DIALLED = frozenset({CallStatus.SKIPPED, CallStatus.PENDING, CallStatus.NOT_CALLED})
# Statuses of a call that was cut short, perhaps after the answer was given.
CUT_SHORT = frozenset({CallStatus.TIMEOUT, CallStatus.ERROR, CallStatus.CANCELLED})
BEST_FIRST = {answer: place for place, answer in enumerate(ANSWERS.values())}
UNREACHED, UNDIALLED, LAST = (len(BEST_FIRST) + more for more in range(3))
CRITERIA = {None: "criteria open", False: "criteria not met"}
NOTE_LENGTH = 160  # characters of each thing that a note says
DEEPEST = 3  # levels of lists and objects that are put into words


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One provider's place in the ranking, as text that is safe to show, phone numbers cut to their last digits."""

    index: int
    name: str
    last_four: str
    answer: str  # available, call back, unclear, unavailable, disqualified; else the call's status in words
    when: str  # the earliest time, as they said it; empty for none
    rate: str  # as they said it; empty for none
    note: str  # of a candidate what a client wants to know, of others why they are none
    is_candidate: bool  # can come, or wants to be called back, and is not ruled out


def rank(result: CallResult) -> tuple[int, int, int]:
    """Return the sort key that puts the best first: by answer, by criteria met, and by the file's order."""
    answer = _answer(result)
    if answer is None:
        return UNDIALLED if result.status in NOT_DIALLED else UNREACHED, 0, result.index
    return BEST_FIRST.get(answer, LAST), (True, None, False).index(_criteria(result)), result.index


def best_first(results: Iterable[CallResult], most: int) -> list[CallResult]:
    """Return the best results, at most so many, best first; no more than those are held at a time."""
    return heapq.nsmallest(most, results, key=rank)


def standing(result: CallResult) -> Standing:
    """Return how the provider stands."""
    answer = _answer(result)
    is_candidate = answer in CANDIDATES
    said = {} if answer is None else _data(result)
    return Standing(
        index=result.index,
        name=_shown(result.provider.name) or "(no name)",
        last_four=result.provider.last_four,
        answer=answer or result.status.words,
        when=_shown(said.get("earliest_availability")),
        rate=_shown(said.get("estimated_rate")),
        note="; ".join(_worth_knowing(result)) if is_candidate else _why_not(result, said),
        is_candidate=is_candidate,
    )


def heard(result: CallResult) -> str:
    """Return in one line what came of a call: what they said, or why nothing was."""
    data = {} if _answer(result) is None else _data(result)
    availability = _shown(data.get("availability")).replace("_", " ")
    said = (availability, _shown(data.get("earliest_availability")), _shown(data.get("estimated_rate")))
    if any(said):
        return ", ".join(filter(None, said))
    return _shown(result.analysis.summary if result.error is None else result.error.message)


def words(value: object, depth: int = 0) -> str:
    """Return a value of an analysis as a person reads it, whatever it is; empty for nothing."""
    if value is None or depth > DEEPEST:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {words(inner, depth + 1)}" for name, inner in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(filter(None, (words(inner, depth + 1) for inner in value)))
    return str(value)


def _answer(result: CallResult) -> str | None:
    """Return what they answered, None for whoever was not spoken with."""
    data = _data(result)
    answer = _known_answer(data.get("availability"))
    if result.status is not CallStatus.COMPLETED and not (result.status in CUT_SHORT and answer not in (None, UNCLEAR)):
        return None
    return DISQUALIFIED if data.get("disqualified") is True else answer or UNCLEAR


def _known_answer(availability: object) -> str | None:
    return ANSWERS.get(availability.strip().lower()) if isinstance(availability, str) else None


def _data(result: CallResult) -> Mapping[str, Any]:
    # The user's own assistant extracts what it likes, so nothing is taken for granted.
    data: object = result.analysis.structured_data
    return data if isinstance(data, Mapping) else {}


def _criteria(result: CallResult) -> bool | None:
    met = _data(result).get("all_criteria_met")
    return met if isinstance(met, bool) else None


def _worth_knowing(result: CallResult) -> Iterator[str]:
    data, met = _data(result), _criteria(result)
    if met is False or (met is None and result.request.user_criteria):  # that all are met is what was asked for
        details = _shown(data.get("criteria_details"), NOTE_LENGTH)
        yield f"{CRITERIA[met]}: {details}" if details else CRITERIA[met]
    is_told = data.get("earliest_availability") or data.get("estimated_rate")  # which is what a summary repeats
    if notes := _shown(data.get("notes") or (None if is_told else result.analysis.summary), NOTE_LENGTH):
        yield notes


def _why_not(result: CallResult, said: Mapping[str, Any]) -> str:
    error = None if result.error is None else result.error.message
    reasons = (said.get("disqualification_reason"), error, said.get("notes"), result.analysis.summary)
    return next(filter(None, (_shown(reason, NOTE_LENGTH) for reason in reasons)), "")


def _shown(value: object, longest: int | None = None) -> str:
    return shown(words(value), longest)
