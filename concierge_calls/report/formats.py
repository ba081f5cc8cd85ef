"""Writes the document as JSON, JSON lines or CSV, a result at a time, so that a long run costs no more memory."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

from concierge_calls.journal import LineSpan, Results, seconds_on_the_line
from concierge_calls.models import CallRequest, CallResult, Format, RunResult
from concierge_calls.report.closing import summary
from concierge_calls.report.document import as_json, listed, result_document, run_document, stats_document

COLUMNS = (
    "index",
    "status",
    "name",
    "phone",
    "availability",
    "earliest_availability",
    "estimated_rate",
    "recommended",
    "summary",
    "duration",
    "cost",
    "endedReason",
    "callId",
    "error",
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of a formula
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
QUOTED = re.compile(r'[",\r\n]')
UNWRITABLE = re.compile(r"[\x00\ud800-\udfff]")  # a NUL, and half a character: nothing in CSV could stand for them


def write(run: RunResult, file: IO[str], format_: Format = Format.JSON) -> None:
    """Write the whole document in this format, without ever holding more than a few results."""
    match format_:
        case Format.JSON:
            file.writelines(pieces(run))
        case Format.JSONL:
            file.writelines(as_json(result_document(result)) + "\n" for result in run.results)
        case Format.CSV:
            file.writelines(_csv(run.results))
        case Format.HTML:
            write_page(run, file)


def write_page(run: RunResult, file: IO[str], spans: Iterable[LineSpan] = ()) -> None:
    """Write the run as a page; `spans` are from when until when each call had its line, in the file's order."""
    from concierge_calls.page import kept_page

    known = list(spans)
    file.writelines(kept_page(run, known, summary(run, seconds_on_the_line(known))))


def pieces(run: RunResult) -> Iterator[str]:
    """Return the document as JSON in pieces, each result read when its turn comes."""
    yield '{\n"run": ' + as_json(run_document(run.run)) + ',\n"stats": ' + as_json(stats_document(run.stats))
    yield ',\n"results": '
    yield from listed(map(result_document, run.results))
    yield "}\n"


def _csv(results: Sequence[CallResult]) -> Iterator[str]:
    # All extra columns must be known before the first row is written, so the providers are read twice.
    extra = _extra_columns(results.requests() if isinstance(results, Results) else results)
    yield _record((*COLUMNS, *extra.values()))
    for result in results:
        theirs = result.provider.extra
        yield _record((*_values(result), *(theirs.get(name) for name in extra)))


def _extra_columns(rows: Iterable[CallRequest | CallResult]) -> Mapping[str, str]:
    """Return the providers' other columns, in order of first appearance, each with the title that is left for it."""
    titles: dict[str, str] = {}
    taken = set(COLUMNS)
    for row in rows:
        for name in row.provider.extra:
            if name in titles:
                continue
            title = name
            while _cell(title) in taken:
                title = f"extra.{title}"
            titles[name] = title
            taken.add(_cell(title))
    return titles


def _values(result: CallResult) -> tuple[Any, ...]:
    said = result.analysis.structured_data
    return (
        result.index,
        result.status,
        result.provider.name,
        result.provider.phone,
        said.get("availability"),
        said.get("earliest_availability"),
        said.get("estimated_rate"),
        said.get("recommended"),
        result.analysis.summary,
        round(result.duration, 3),
        result.cost,
        result.ended_reason,
        result.call_id,
        None if result.error is None else result.error.message,
    )


def _record(values: Iterable[Any]) -> str:
    return ",".join(map(_quoted, values)) + "\n"


def _quoted(value: Any) -> str:
    # By hand: until Python 3.13 the csv module leaves a carriage return without quotes when lines end in a line feed.
    cell = _cell(value)
    return '"' + cell.replace('"', '""') + '"' if QUOTED.search(cell) else cell


def _cell(value: Any) -> str:
    text = UNWRITABLE.sub("\ufffd", _text(value))
    return f"'{text}" if text.startswith(FORMULA) and not E164.fullmatch(text) else text


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, str):
        return value
    return as_json(value)
