"""The command that starts a Vapi to try things on."""

from __future__ import annotations

from textwrap import fill
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from concierge_calls.errors import UsageError


class WithEndings(TyperCommand):
    """A command whose help ends with what the last digit of a number decides, which is loaded for nothing else."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write that below the options."""
        self.epilog = _endings()
        super().format_epilog(ctx, formatter)


def _endings() -> str:
    from concierge_calls.simulator import ENDINGS

    lines = (
        fill(ending, 78, initial_indent=f"{digit}  ", subsequent_indent="   ") for digit, ending in ENDINGS.items()
    )
    return "\b\n" + "\n".join(("The last digit of a number decides how its call ends:", *lines))


def simulator(
    ctx: typer.Context,
    port: Annotated[int, typer.Option("--port", help="The loopback port it listens on; 0 takes a free one.")] = 8765,
    speed: Annotated[float, typer.Option("--speed", help="How many times faster than life, call limits too.")] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="Decides all that a number's last digit does not.")] = 0,
    create_delay: Annotated[float, typer.Option("--create-delay", help="Seconds until a create is answered.")] = 0.0,
    reply_delay: Annotated[float, typer.Option("--reply-delay", help="Seconds until others are answered.")] = 0.0,
    lose_replies: Annotated[float, typer.Option("--lose-replies", help="Share of creates: rings, no reply.")] = 0.0,
    fail_before: Annotated[float, typer.Option("--fail-before", help="Share of creates: 503, nothing rings.")] = 0.0,
    fail_after: Annotated[float, typer.Option("--fail-after", help="Share of creates: 500, and it rings.")] = 0.0,
    fail_reads: Annotated[float, typer.Option("--fail-reads", help="Share of reads answered 503.")] = 0.0,
    html_errors: Annotated[bool, typer.Option("--html-errors", help="Failures come as a proxy's HTML.")] = False,
    refuse: Annotated[
        Literal["key", "number", "assistant", "credits", "credits-ended", "daily-limit", "body"] | None,
        typer.Option(
            "--refuse",
            help="What it refuses: key, number, assistant, credits, credits-ended, daily-limit or body.",
            metavar="WHAT",
        ),
    ] = None,
    rate_limit: Annotated[int, typer.Option("--rate-limit", help="Requests a minute, then 429; 0 is none.")] = 0,
    lines: Annotated[int, typer.Option("--lines", help="Lines of the account; 0 is no limit.")] = 0,
    lines_shape: Annotated[
        Literal["400", "blocked", "ended", "429"],
        typer.Option("--lines-shape", help="What one call too many looks like."),
    ] = "400",
    list_lag: Annotated[float, typer.Option("--list-lag", help="Seconds by which the list of calls lags.")] = 0.0,
    analysis_delay: Annotated[
        float, typer.Option("--analysis-delay", help="Simulated seconds from the end to the analysis.")
    ] = 4.0,
    analysis: Annotated[
        Literal["late", "frozen", "missing"],
        typer.Option("--analysis", help="Comes late; late and updatedAt stands still; never."),
    ] = "late",
) -> None:
    """Start a Vapi on a loopback port; it takes any key, number id and assistant id."""
    from concierge_calls.simulator import SimulatorOptions, run

    if not speed > 0:
        raise UsageError("--speed must be above 0.")
    settings = SimulatorOptions(**{name: value for name, value in ctx.params.items() if name != "port"})
    try:
        run(settings, port, lambda url: print(f"A simulated Vapi listens on {url} (Ctrl-C ends it).", flush=True))
    except OSError as error:
        raise UsageError(f"Port {port} cannot be used ({error.strerror}); choose another with --port.") from error
