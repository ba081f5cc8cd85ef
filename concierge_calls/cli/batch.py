"""The commands that call somebody: `batch` for a file of providers, `call` for one of them."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from concierge_calls.cli import options
from concierge_calls.errors import UsageError
from concierge_calls.settings.fields import SETTINGS

if TYPE_CHECKING:
    from concierge_calls.display import Verbosity
    from concierge_calls.draft import Order
    from concierge_calls.models import Format
    from concierge_calls.output import Output
    from concierge_calls.providers import Row
    from concierge_calls.settings.loading import Settings


def batch(
    ctx: typer.Context,
    providers: options.Providers,
    service: options.Service = None,
    criteria: options.Criteria = None,
    location: options.Location = None,
    urgency: options.Urgency = None,
    problem: options.Problem = None,
    client_name: options.ClientName = None,
    request: options.RequestFile = None,
    map_: options.Map = None,
    region: options.Region = None,
    max_concurrent: options.MaxConcurrent = None,
    start_interval: options.StartInterval = None,
    call_timeout: options.CallTimeout = None,
    analysis_timeout: options.AnalysisTimeout = None,
    via: options.Via = None,
    record: options.Record = None,
    simulate: options.Simulate = False,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    allow_redial: options.AllowRedial = False,
    hang_up: options.HangUp = False,
    output: options.OutputFile = None,
    format_: options.Format = "json",
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Call every provider in a file, at most N at once, and write what they answered."""
    from concierge_calls import plan
    from concierge_calls.cli.running import Manner, carry_out
    from concierge_calls.models import Format
    from concierge_calls.output import Output
    from concierge_calls.providers import read

    columns = _columns(map_ or ())
    if providers == "-" and sys.stdin is None:
        raise UsageError("Standard input is closed, so there is no providers file in it; name the file.")
    file = read(providers, map_=columns)
    place = Output.chosen(output, file.name, Format(format_))
    order = _order(ctx, file, file.name, place, mapped=columns.keys())
    settings = _settings(ctx)
    used = plan.columns_used(file.fields, order.typed, order.request_file, columns.keys())
    notes = (*_columns_used(used), *_misnamed(place, order.format))
    manner = Manner(verbosity=verbosity(quiet=quiet, verbose=verbose), yes=yes, notes=notes)
    raise typer.Exit(carry_out(order, settings, place, manner))


def call(
    ctx: typer.Context,
    phone: options.Phone,
    name: options.Name,
    service: options.Service = None,
    criteria: options.Criteria = None,
    location: options.Location = None,
    urgency: options.Urgency = None,
    problem: options.Problem = None,
    client_name: options.ClientName = None,
    request: options.RequestFile = None,
    region: options.Region = None,
    call_timeout: options.CallTimeout = None,
    analysis_timeout: options.AnalysisTimeout = None,
    via: options.Via = None,
    record: options.Record = None,
    simulate: options.Simulate = False,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    allow_redial: options.AllowRedial = False,
    hang_up: options.HangUp = False,
    output: options.OutputFile = None,
    format_: options.Format = "json",
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Call one provider, and write the same document with one entry."""
    from concierge_calls.cli.running import Manner, carry_out
    from concierge_calls.draft import rows_of
    from concierge_calls.models import Format, Provider
    from concierge_calls.output import Output

    settings = _settings(ctx)
    _check(phone, name, settings.region)
    place = Output.chosen(output, "call", Format(format_))
    order = _order(ctx, rows_of([Provider(name=name, phone=None, phone_given=phone)]), "call", place)
    notes = tuple(_misnamed(place, order.format))
    manner = Manner(verbosity=verbosity(quiet=quiet, verbose=verbose), yes=yes, notes=notes)
    raise typer.Exit(carry_out(order, settings, place, manner))


def verbosity(*, quiet: bool, verbose: bool) -> Verbosity:
    """Return how much is said; raises UsageError for both at once."""
    from concierge_calls.display import Verbosity

    if quiet and verbose:
        raise UsageError("--quiet and --verbose exclude each other; leave one out.")
    return Verbosity.QUIET if quiet else Verbosity.VERBOSE if verbose else Verbosity.NORMAL


def _order(ctx: typer.Context, rows: Iterable[Row], source: str, place: Output, mapped: Collection[str] = ()) -> Order:
    from concierge_calls.draft import Order
    from concierge_calls.models import Format
    from concierge_calls.plan import read_request

    typed = ctx.params
    return Order(
        rows=rows,
        source=source,
        typed=_typed(ctx),
        request_file={} if typed["request"] is None else read_request(typed["request"]),
        mapped=mapped,
        via_typed=typed["via"] is not None,
        simulate=typed["simulate"],
        dry_run=typed["dry_run"],
        allow_redial=typed["allow_redial"],
        hang_up=typed["hang_up"],
        output=place.target,
        format=Format(typed["format_"]),
    )


def _check(phone: str, name: str, region: str) -> None:
    # A file's fault is told with its line; what was typed has none.
    from concierge_calls.phone import checked_region, parse

    parse(phone, checked_region(region))
    if not name.strip():
        raise UsageError("--name is empty, and the assistant asks for the business by it; give its name.")


def _columns(maps: Sequence[str]) -> dict[str, str]:
    columns = {}
    for entry in maps:
        name, equals, column = entry.partition("=")
        if not (name and equals and column):
            raise UsageError(f"--map {entry} is not understood; write --map phone=COLUMN, with a column of your file.")
        columns[name.strip()] = column
    return columns


def _typed(ctx: typer.Context) -> dict[str, str]:
    from concierge_calls.plan import REQUEST_FIELDS

    return {name: ctx.params[name] for name in REQUEST_FIELDS if ctx.params.get(name) is not None}


def _settings(ctx: typer.Context) -> Settings:
    from concierge_calls.settings.loading import load

    typed = {name: ctx.params[name] for name in SETTINGS if name in ctx.params}
    unused = {"api_key": "simulated", "base_url": SETTINGS["base_url"].default} if ctx.params["simulate"] else {}
    return load(typed | unused)  # what a simulated run does not use may be wrong


def _columns_used(used: Mapping[str, str]) -> Iterator[str]:
    if used:
        yield f"From columns of the file: {', '.join(f'{name} from {column!r}' for name, column in used.items())}."


def _misnamed(place: Output, format_: Format) -> Iterator[str]:
    named = Path(place.target).suffix.lower().lstrip(".")
    if named != format_ and named in tuple(type(format_)):
        yield f"{Path(place.target).name} will hold {format_}, not {named}; say --format {named} if you want that."
