"""What a child knows of everybody who was handed over: by its journal, and where there is none, by its marks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from concierge_calls.errors import (
    BackendUnreachable,
    ConciergeError,
    JournalError,
    NoSuchRun,
    RunRefused,
    SettingsError,
    UsageError,
)
from concierge_calls.journal import Journal, LineSpan
from concierge_calls.kestra import outputs
from concierge_calls.kestra.item import Part, dialled
from concierge_calls.kestra.markers import marked
from concierge_calls.kestra.outputs import Entry
from concierge_calls.models import CallResult, CallStatus, Reason, RunResult

_STOPPED = Reason("stopped", "The task ended before this provider was dialled; nobody's phone rang.")
_UNKNOWN = Reason(
    "marked",
    "An earlier start of this task was about to dial this number, and what came of it is not known here: the phone may"
    " have rung, so it is not dialled again.",
)
_TWICE = Reason(
    "duplicate",
    "This number stands in the list under another name, too, and is called once in a run; nobody's phone rang for this"
    " one.",
)
_CODES: Mapping[type[ConciergeError], str] = {
    SettingsError: "settings",
    JournalError: "journal",
    BackendUnreachable: "unreachable",
    RunRefused: "refused",
    UsageError: "not_understood",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the child brings back: an entry for each provider, and the same with everything that was said."""

    entries: list[Entry]
    whole: Callable[[], Iterator[Entry]]


def answer(part: Part, path: Path, markers: Path, reason: Reason | None) -> Answer:
    """Return what is known now; `reason` is why those who were not dialled were not, None when the task had to end."""
    try:
        known = _known(path, part.run_id)
    except JournalError as error:
        return unknown(part, markers, reason or reason_of(error))
    if known is None:
        return unknown(part, markers, reason)
    run, spans = known
    if not is_of(part, run):
        return _twice(part) if _has_its_numbers(part, run) else unknown(part, None, reason)

    def told(tell: Callable[..., Entry]) -> Iterator[Entry]:
        for result in _told(run, reason):
            index = result.index
            yield tell(result, run_id=part.run_id, number=part.shown[index], span=spans.get(index))

    return Answer(list(told(outputs.entry)), lambda: told(outputs.whole_entry))


def is_of(part: Part, known: RunResult) -> bool:
    """Tell whether the run was begun for those who are handed over now."""
    names = [(result.provider.name, result.provider.phone_given) for result in known.results]
    return names == [(row.values["name"], row.values["phone"]) for row in part.rows]


def _has_its_numbers(part: Part, known: RunResult) -> bool:
    return [result.provider.phone for result in known.results] == [dialled(row.values["phone"]) for row in part.rows]


def _twice(part: Part) -> Answer:
    entries = [
        outputs.nobody_called(CallStatus.SKIPPED, _TWICE, run_id=part.run_id, number=number, name=row.values["name"])
        for number, row in zip(part.shown, part.rows, strict=True)
    ]
    return Answer(entries, lambda: iter(entries))


def _known(path: Path, run_id: str) -> tuple[RunResult, Mapping[int, LineSpan]] | None:
    if not path.exists():
        return None
    with suppress(NoSuchRun), Journal(path) as journal:
        return journal.result(run_id), {span.index: span for span in journal.line_spans(run_id)}
    return None


def _told(known: RunResult, reason: Reason | None) -> Iterator[CallResult]:
    for result in known.results:
        if result.status is CallStatus.PENDING:
            status = CallStatus.PENDING if reason is None else CallStatus.NOT_CALLED
            yield replace(result, status=status, error=reason or _STOPPED)
        elif result.status is CallStatus.IN_PROGRESS:
            yield replace(result, error=result.error or reason)
        else:
            yield result


def unknown(part: Part, markers: Path | None, reason: Reason | None) -> Answer:
    """Tell of those of whom no journal knows: nobody was dialled, unless there is a mark that says otherwise."""
    entries = []
    for number, shown, row in zip(part.numbers, part.shown, part.rows, strict=True):
        if markers is not None and _is_marked(markers, f"{part.run_id}-{number}-"):
            status, error = CallStatus.UNCERTAIN, _UNKNOWN
        else:
            status, error = (CallStatus.PENDING, _STOPPED) if reason is None else (CallStatus.NOT_CALLED, reason)
        name = row.values["name"]
        entries.append(outputs.nobody_called(status, error, run_id=part.run_id, number=shown, name=name))
    return Answer(entries, lambda: iter(entries))


def _is_marked(markers: Path, beginning: str) -> bool:
    with suppress(OSError):
        return bool(marked(markers, beginning))
    return False


def nobody(whom: Iterable[tuple[Any, Any, Any]], error: ConciergeError) -> Answer:
    """Tell of those whom a child could not even be asked to call."""
    status, reason = CallStatus.NOT_CALLED, reason_of(error)
    entries = [
        outputs.nobody_called(status, reason, run_id=run_id, number=number, name=name) for number, run_id, name in whom
    ]
    return Answer(entries, lambda: iter(entries))


def reason_of(error: ConciergeError) -> Reason:
    """Return the error as a reason not to call somebody."""
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), "not_called")
    return Reason(code, error.message)
