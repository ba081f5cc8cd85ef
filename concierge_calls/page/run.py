"""One run as a page: who can come, what each said, and how the lines were used; text of others is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from concierge_calls.journal import LineSpan
from concierge_calls.models import CallEvent, CallResult, CallStatus, Message, RunResult
from concierge_calls.page.looks import template
from concierge_calls.page.timeline import timeline
from concierge_calls.plain import clock, harmless
from concierge_calls.ranking import Standing, best_first, standing, words
from concierge_calls.unsettled import unsettled

MOST_BEST = 100  # providers that are compared side by side, best first
OVER = frozenset(CallStatus) - {CallStatus.PENDING, CallStatus.IN_PROGRESS, CallStatus.NOT_CALLED}
# What the comparison's columns say already, in the schema's names.
COMPARED = (
    ("all_criteria_met", "Criteria met"),
    ("technician_name", "Who comes"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One provider beside the others."""

    standing: Standing
    more: Sequence[str]  # a cell for each of COMPARED


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One provider's entry: how it stands, and all that is known of the call."""

    result: CallResult
    standing: Standing
    facts: Sequence[tuple[str, str]]
    turns: Sequence[Message]
    recording: str | None  # an address that this page may play; None for none


def kept_page(result: RunResult, spans: Iterable[LineSpan], said: Iterable[str]) -> Iterator[str]:
    """Write the run as one file that needs nothing else, to mail or to keep; `said` are its closing sentences."""
    yield from template("kept.html").generate(run_facts(result, spans, said, result.results))


def run_facts(
    result: RunResult,
    spans: Iterable[LineSpan],
    said: Iterable[str],
    shown: Iterable[CallResult],
    *,
    live: Iterable[CallEvent] = (),
    recordings: str | None = None,
) -> dict[str, Any]:
    """Return what a template needs to show the run; `shown` are the results whose calls are told whole.

    `live` are the events of the calls that are not settled yet; `recordings` is the address under which a server gives
    recordings, with `{index}` in it.
    """
    now = datetime.now(UTC)
    best = [standing(one) for one in best_first((one for one in result.results if one.status in OVER), MOST_BEST)]
    candidates = [one for one in best if one.is_candidate]
    return {
        "run": result.run,
        "stats": result.stats,
        "said": [harmless(line) for line in said],
        "timeline": timeline(spans, now),
        "live": list(unsettled(live, now)),
        "columns": [title for _, title in COMPARED],
        "candidates": [_compared(one, result.results[one.index]) for one in candidates],
        "others": [one for one in best if not one.is_candidate],
        "entries": (_entry(one, recordings) for one in shown),
        "best_only": result.stats.total > MOST_BEST,
        "clock": clock,
    }


def _compared(one: Standing, result: CallResult) -> Compared:
    said = result.analysis.structured_data
    return Compared(standing=one, more=[_text(said.get(name)) for name, _ in COMPARED])


def _entry(result: CallResult, recordings: str | None) -> Entry:
    return Entry(
        result=result,
        standing=standing(result),
        facts=[(title, value) for title, value in _facts(result) if value],
        turns=result.messages or _turns(result.transcript),
        recording=recordings.format(index=result.index) if recordings and result.recording_url else None,
    )


def _facts(result: CallResult) -> Iterator[tuple[str, str]]:
    provider, request = result.provider, result.request
    number = (provider.phone or provider.phone_given, provider.extension)
    yield "Phone", harmless(" ext. ".join(filter(None, number)))
    yield "What happened", _text(result.error.message if result.error else None)
    yield "Summary", _text(result.analysis.summary)
    for name, value in result.analysis.structured_data.items():
        yield _text(name).replace("_", " ").capitalize(), _text(value)
    yield "Asked for", _text(request.service_needed)
    yield "Criteria", _text(request.user_criteria)
    yield "Where", _text(request.location)
    yield "How the call ended", _text(result.ended_reason)
    yield "On the line", clock(result.duration) if result.duration else ""
    yield "Cost", f"${result.cost:,.2f}" if result.cost else ""
    yield "Call id", _text(result.call_id)


def _turns(transcript: str) -> list[Message]:
    # A transcript without its messages has a turn a line, each begun by who speaks.
    lines = (line.partition(": ") for line in transcript.splitlines() if line.strip())
    return [Message(role=who.lower() if colon else "", message=said if colon else who) for who, colon, said in lines]


def _text(value: object) -> str:
    return harmless(words(value))
