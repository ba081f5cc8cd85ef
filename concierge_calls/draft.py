"""Plans a run and writes it down as a draft, before anybody is dialled."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from concierge_calls import __version__, plan
from concierge_calls.errors import ProvidersFileError
from concierge_calls.journal import (
    ON_THE_LINE,
    Journal,
    NewRun,
    Owner,
    RequestKey,
    RunRecord,
    asked_not_to_be_called,
    called_lately,
    still_on_the_line,
)
from concierge_calls.models import SKIPPED_ON_PURPOSE, CallRequest, Format, Provider, Reason
from concierge_calls.plain import count
from concierge_calls.providers import Row

if TYPE_CHECKING:
    from concierge_calls.settings.loading import Settings

PYTHON = "python"  # the source of a run that a program asked for
HELD_BACK = SKIPPED_ON_PURPOSE | {ON_THE_LINE}  # reasons not to call somebody that are no fault of the row
API = "api"  # the same, by HTTP
CHUNK = 500  # rows of a file that are held, and written, at once

# The settings that still hold when a run is taken up again, whatever the environment says then.
KEPT = (
    "phone_number_id",
    "assistant_id",
    "start_interval",
    "call_timeout",
    "analysis_timeout",
    "record",
    "kestra_flow",
    "kestra_namespace",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked of a run: whom to call, for what, and how."""

    rows: Iterable[Row]
    source: str
    typed: Mapping[str, str] = field(default_factory=dict)  # request fields that were typed
    request_file: Mapping[str, str] = field(default_factory=dict)
    mapped: Collection[str] = ()  # fields whose column was named by the user
    via_typed: bool = False
    simulate: bool = False
    dry_run: bool = False
    allow_redial: bool = False
    hang_up: bool = False
    output: str | None = None
    format: Format = Format.JSON
    owner: Owner = Owner.CLI
    request: RequestKey | None = None  # of another program, which may send it again

    @property
    def label(self) -> str:
        """What the providers came in, for a sentence."""
        return "The list of providers" if self.source in (PYTHON, API) else self.source

    def redial_after(self, settings: Settings) -> datetime | None:
        """Return since when a number that another run called is left alone; None where none is."""
        if self.simulate or self.allow_redial:
            return None
        return datetime.now(UTC) - timedelta(hours=settings.redial_after)

    def new_run(self, settings: Settings, via: str) -> NewRun:
        """Return what the journal is told of the run before its first row."""
        return NewRun(
            owner=self.owner,
            via=via,
            simulated=self.simulate,
            max_concurrent=settings.max_concurrent,
            source=self.source,
            version=__version__,
            output=self.output,
            format=self.format,
            options={name: getattr(settings, name) for name in KEPT} | {"allow_redial": self.allow_redial},
            request=self.request,
        )


async def write_down(order: Order, settings: Settings, journal: Journal, record: RunRecord) -> list[str]:
    """Read and plan every row and add it to the record; returns sentences about what is worth a look.

    Raises ProvidersFileError when there is no row that can be used, and what reading the rows raises.
    """
    requests = _requests(order, settings, journal, record.id)
    warned, unusable, fault = 0, 0, None
    while chunk := list(islice(requests, CHUNK)):
        await record.add(chunk)
        warned += sum(asked.warning is not None for asked in chunk)
        faults = [asked.skip for asked in chunk if asked.skip and asked.skip.code not in HELD_BACK]
        unusable, fault = unusable + len(faults), fault or next(iter(faults), None)
    _check_usable(journal.result(record.id).stats.total, unusable, order.label, fault)
    if not warned or order.simulate:
        return []
    return [f"{count(warned, 'row')} {'is' if warned == 1 else 'are'} worth a look; see which with --dry-run."]


def rows_of(providers: Iterable[Provider]) -> Iterator[Row]:
    """Give providers that did not come from a file the form of a file's rows."""
    for number, provider in enumerate(providers, 1):
        values = {
            "name": provider.name,
            "phone": provider.phone or provider.phone_given,
            "id": provider.id or "",
            "extension": provider.extension or "",
        }
        yield Row(line=provider.line or number, values=values, extra=dict(provider.extra), unit="provider")


def _requests(order: Order, settings: Settings, journal: Journal, run_id: str) -> Iterator[CallRequest]:
    since = order.redial_after(settings)
    return plan.make(
        order.rows,
        source=order.label,
        typed=order.typed,
        request_file=order.request_file,
        mapped=order.mapped,
        region=settings.region,
        needs_service=settings.assistant_id is None,
        called_lately=lambda number: None if order.simulate else _held(journal, number, since, run_id, order.dry_run),
        do_not_call=lambda number: None if order.simulate else _do_not_call(journal, number),
    )


def _check_usable(total: int, unusable: int, source: str, fault: Reason | None) -> None:
    label = "Standard input" if source == "-" else source
    if not total:
        raise ProvidersFileError(f"{label} has no rows, so there is nobody to call.")
    if unusable == total:
        rows = "its only row" if total == 1 else f"none of its {total:,} rows"
        why = f" The first: {fault.message}" if fault is not None else ""
        raise ProvidersFileError(f"{label} has nobody to call: {rows} can{'not' if total == 1 else ''} be used.{why}")


def _held(journal: Journal, number: str, since: datetime | None, run_id: str, sure: bool) -> Reason | None:
    # Who is on the line now is not rung a second time, whatever is allowed.
    if (holder := journal.on_the_line(number, but=run_id)) is not None:
        # Whether a dead process's call goes on is asked before its number is dialled or skipped.
        believed = sure or journal.is_worked_on(holder)
        return still_on_the_line(holder, journal.left_in(holder)) if believed else None
    known = None if since is None else journal.called_since(number, since, but=run_id)
    return None if known is None else called_lately(*known)


def _do_not_call(journal: Journal, number: str) -> Reason | None:
    since = journal.do_not_call(number)
    return None if since is None else asked_not_to_be_called(since)
