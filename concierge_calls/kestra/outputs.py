"""What a child brings back: one small line for Kestra, and a file with everything that was said."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from concierge_calls.journal import LineSpan
from concierge_calls.models import CallResult, CallStatus, Reason

LIMIT = 480_000  # bytes of the line; Kestra 2.x takes no message of more than a megabyte, and an item is in it, too
CUT = "... [cut, see results.json]"
RESULTS = "results.json"

_LENGTHS = (4000, 1000, 250, 60)  # letters of a text that are tried, until the line is small enough
_MOST = 50  # parts of a list or an object, once anything is cut
_DEEPEST = 6
_FEWEST = ("index", "run_id", "status", "call_id")

Entry = dict[str, Any]


def entry(result: CallResult, *, run_id: str, number: int, span: LineSpan | None = None) -> Entry:
    """Return what became of one provider's call, by its row's number in the whole run, without what was said.

    `span` is from when until when it had its line.
    """
    analysis = result.analysis
    return {
        **nobody_called(result.status, result.error, run_id=run_id, number=number, name=result.provider.name),
        "call_id": result.call_id,
        "ended_reason": result.ended_reason,
        "dialed_at": _time(span.begun if span else None),
        "started_at": _time(result.started_at),
        "ended_at": _time(result.ended_at),
        "off_the_line_at": _time(span.ended if span else None),
        "duration": round(result.duration, 3),
        "cost": result.cost,
        "recording_url": result.recording_url,
        "analysis": {
            "status": analysis.status,
            "summary": analysis.summary,
            "structured_data": dict(analysis.structured_data),
            "success_evaluation": analysis.success_evaluation,
        },
    }


def whole_entry(result: CallResult, *, run_id: str, number: int, span: LineSpan | None = None) -> Entry:
    """Return the same with what was said, for the file."""
    messages = [
        {"role": turn.role, "message": turn.message, "seconds_from_start": turn.seconds_from_start}
        for turn in result.messages
    ]
    said = {"transcript": result.transcript, "messages": messages}
    return entry(result, run_id=run_id, number=number, span=span) | said


def nobody_called(status: CallStatus, error: Reason | None, *, run_id: Any, number: Any, name: Any) -> Entry:
    """Return the entry of somebody of whom no call is known."""
    return {
        "index": number,
        "run_id": run_id,
        "name": name,
        "status": status,
        "call_id": None,
        "ended_reason": None,
        "dialed_at": None,
        "started_at": None,
        "ended_at": None,
        "off_the_line_at": None,
        "duration": 0.0,
        "cost": None,
        "recording_url": None,
        "analysis": {"status": "none", "summary": None, "structured_data": {}, "success_evaluation": None},
        "error": None if error is None else {"code": error.code, "message": error.message},
    }


def line(entries: Sequence[Entry]) -> str:
    """Return the one line that Kestra reads: ASCII, and small whatever was said; what is cut says so itself.

    Where even that would be too much, the entries lose their analyses, and then the last of them are left out; all of
    them are in the file.
    """
    for longest in _LENGTHS:
        if _fits(found := _line([_shortened(each, longest) for each in entries])):
            return found
    fewest = [{name: _shortened(each[name], _LENGTHS[-1]) for name in _FEWEST} for each in entries]
    while not _fits(found := _line(fewest)):
        fewest = fewest[: len(fewest) * LIMIT // (len(found) + 1)]
    return found


def write(path: Path, entries: Iterable[Entry]) -> None:
    """Write the file with everything, whole or not at all. Raises OSError."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        with unfinished.open("w", encoding="ascii") as file:
            file.writelines(_listed(entries))
        unfinished.replace(path)
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()


def _line(entries: Sequence[Entry]) -> str:
    return f"::{_json({'outputs': {'results': entries}})}::\n"


def _fits(text: str) -> bool:
    return len(text) <= LIMIT


def _listed(entries: Iterable[Entry]) -> Iterator[str]:
    yield '{"results": ['
    for number, each in enumerate(entries):
        yield (",\n" if number else "\n") + _json(each)
    yield "\n]}\n"


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    except ValueError:  # an assistant's NaN, for which JSON has no word
        return json.dumps(_finite(value), ensure_ascii=True, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shortened(value: Any, longest: int, deeper: int = _DEEPEST) -> Any:
    if isinstance(value, str):
        return value if len(value) <= longest else value[:longest] + CUT
    if not isinstance(value, Mapping | list | tuple):
        return value
    if not deeper:
        return CUT
    if isinstance(value, Mapping):
        some = list(value.items())[:_MOST]
        return {_shortened(name, longest, 1): _shortened(each, longest, deeper - 1) for name, each in some}
    return [_shortened(each, longest, deeper - 1) for each in value[:_MOST]]


def _time(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
