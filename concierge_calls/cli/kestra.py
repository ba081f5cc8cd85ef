"""The commands for those who hand runs to a Kestra server: deploy the flow, print it, check the server."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

import typer

from concierge_calls.cli import options
from concierge_calls.cli.questions import say
from concierge_calls.errors import KestraRefused, SettingsError
from concierge_calls.plain import count

if TYPE_CHECKING:
    from concierge_calls.kestra.dialect import Dialect
    from concierge_calls.kestra.flow import FlowKind, Runner
    from concierge_calls.settings.loading import Settings

T = TypeVar("T")

LONG_LIST: Final = 1000  # rows of one task until a run says how many it has

AnyDialect = Annotated[
    Literal["0", "1", "2"] | None,
    typer.Option(
        "--dialect",
        help="For which Kestra: 0 (0.18 to 0.22), 1 (0.23 to 1.x) or 2 (2.x); without it that of KESTRA_URL is asked.",
        metavar="N",
    ),
]
RunnerOption = Annotated[
    str | None,
    typer.Option("--runner", help=options.of_setting("kestra_runner"), metavar="KIND"),
]
Image = Annotated[str | None, typer.Option("--image", help=options.of_setting("kestra_image"), metavar="NAME")]
Memory = Annotated[str | None, typer.Option("--memory", help=options.of_setting("kestra_memory"), metavar="SIZE")]
Cpus = Annotated[str | None, typer.Option("--cpus", help=options.of_setting("kestra_cpus"), metavar="N")]
Here = Annotated[bool, typer.Option("--here", help="Check this machine as a worker.", hidden=True)]


def group() -> None:
    """Hand runs to a Kestra server: put the flow there, print it, see whether the server could run it."""


def deploy(
    max_concurrent: options.MaxConcurrent = None,
    call_timeout: options.CallTimeout = None,
    analysis_timeout: options.AnalysisTimeout = None,
    runner: RunnerOption = None,
    image: Image = None,
    memory: Memory = None,
    cpus: Cpus = None,
) -> None:
    """Put the flow on the server of KESTRA_URL, or renew it there; nobody is called."""
    settings = _settings(max_concurrent, call_timeout, analysis_timeout, runner, image, memory, cpus)
    say(_waited_for(_deploy(settings)))


def flow(
    dialect: AnyDialect = None,
    max_concurrent: options.MaxConcurrent = None,
    call_timeout: options.CallTimeout = None,
    analysis_timeout: options.AnalysisTimeout = None,
    runner: RunnerOption = None,
    image: Image = None,
    memory: Memory = None,
    cpus: Cpus = None,
) -> None:
    """Print the flow's YAML, for those who keep their flows in git."""
    from concierge_calls.kestra.dialect import Dialect
    from concierge_calls.output import write_to_stdout

    settings = _settings(max_concurrent, call_timeout, analysis_timeout, runner, image, memory, cpus)
    source = _source(settings, Dialect(dialect) if dialect else _waited_for(_ask_dialect(settings)))
    write_to_stdout(lambda file: file.write(source))


def check(as_json: options.AsJson = False, here: Here = False) -> None:
    """Say whether the server could run it, line by line; a small flow asks its workers, and nobody is called."""
    from concierge_calls.cli.doctor import tell

    if here:
        _check_here()
        return
    from concierge_calls.doctor.asking_kestra import examine_kestra
    from concierge_calls.kestra.check_flow import PATIENCE

    settings = _settings()
    examining = examine_kestra(
        settings.kestra_needed(),
        kind=_kind(settings),
        source=lambda dialect: _source(settings, dialect),
        runner=_runner(settings),
        patience=PATIENCE,
    )
    raise typer.Exit(tell(_waited_for(examining), as_json=as_json, what="A run by Kestra", again="kestra check"))


def _check_here() -> None:
    """Tell what this machine is as a worker, on the one line that Kestra reads."""
    import os
    from dataclasses import asdict

    from concierge_calls import __version__
    from concierge_calls.doctor import examine
    from concierge_calls.kestra.checking import here, line
    from concierge_calls.output import write_to_stdout
    from concierge_calls.settings.folder import journal_path
    from concierge_calls.settings.kestra import forget_the_route

    forget_the_route(os.environ)
    folder = journal_path(simulated=False).parent
    checks = [{name: str(value) for name, value in asdict(each).items()} for each in _waited_for(examine())]
    found = here(os.environ, folder, version=__version__, checks=checks)
    write_to_stdout(lambda file: file.write(line(found)))


def _waited_for(work: Coroutine[Any, Any, T]) -> T:
    import asyncio  # every command's start would pay for it

    return asyncio.run(work)


def _settings(
    max_concurrent: str | None = None,
    call_timeout: str | None = None,
    analysis_timeout: str | None = None,
    runner: str | None = None,
    image: str | None = None,
    memory: str | None = None,
    cpus: str | None = None,
) -> Settings:
    from concierge_calls.settings.loading import load

    typed = {
        "max_concurrent": max_concurrent,
        "call_timeout": call_timeout,
        "analysis_timeout": analysis_timeout,
        "kestra_runner": runner,
        "kestra_image": image,
        "kestra_memory": memory,
        "kestra_cpus": cpus,
    }
    return load(typed)


def _kind(settings: Settings) -> FlowKind:
    from concierge_calls.kestra.flow import FlowKind

    return FlowKind(settings.kestra_flow)


def _runner(settings: Settings) -> Runner:
    """Return how the children run; raises SettingsError where the settings do not fit together."""
    from concierge_calls.kestra.flow import Runner, RunnerKind

    return Runner(
        kind=RunnerKind(settings.kestra_runner),
        image=settings.kestra_image,
        memory=settings.kestra_memory,
        cpus=settings.kestra_cpus,
    )


def _source(settings: Settings, dialect: Dialect) -> str:
    from concierge_calls.kestra.flow import backstop, render

    # A child of a fan-out calls one provider, the only child of the other flow all of them, so many at once.
    rows = 1 if settings.kestra_flow == "fan-out" else -(-LONG_LIST // settings.max_concurrent)
    return render(
        _kind(settings),
        dialect,
        limit=settings.max_concurrent,
        backstop=backstop(rows, settings.call_timeout, settings.analysis_timeout),
        runner=_runner(settings),
        namespace=settings.kestra_namespace,
    )


async def _ask_dialect(settings: Settings) -> Dialect:
    from concierge_calls.kestra.client import KestraClient

    if settings.kestra_url is None:
        raise SettingsError("For which Kestra? Say it with --dialect (0, 1 or 2), or set KESTRA_URL.")
    async with KestraClient(**settings.kestra_needed()) as client:
        return (await client.greet()).dialect


async def _deploy(settings: Settings) -> str:
    """Put the flow on the server and return what came of it; raises KestraError where that is not possible."""
    from concierge_calls.doctor.kestra import refused_flow
    from concierge_calls.kestra.client import KestraClient
    from concierge_calls.kestra.flow import is_ours

    flow_id = _kind(settings).flow_id
    async with KestraClient(**settings.kestra_needed()) as client:
        source = _source(settings, (await client.greet()).dialect)
        before = await client.flow(flow_id)
        if before and not is_ours(before.source):
            raise KestraRefused(
                f"There is a flow {flow_id} in the namespace {client.namespace} that is not one of ours, and it was "
                "left as it is. Rename it there, or set KESTRA_NAMESPACE to another."
            )
        if constraints := await client.validate(source):
            raise KestraRefused(f"The flow was not put on {client.address}. {refused_flow(constraints)}")
        revision = await client.deploy(flow_id, source)
        where = f"{flow_id} in the namespace {client.namespace} at {client.address}"
    is_new = before is None or before.revision != revision
    done = f"is there now as revision {revision}" if is_new else f"was there already, as revision {revision}"
    return f"The flow {where} {done}, for {count(settings.max_concurrent, 'line')}."
