"""Assembles the command line, and turns what was raised on purpose into a sentence and an exit code."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from concierge_calls import __version__
from concierge_calls.cli import batch, doctor, forgetting, history, kestra, kestra_child, numbers, serve, simulator
from concierge_calls.cli.examples import with_examples
from concierge_calls.errors import ConciergeError
from concierge_calls.plain import masked

BUG = 1
NOT_CALLED = 2

# Flags of Typer's own that have no default: where one is not typed it would load pydantic to say so, even for the help
# of a command, before which the group's flags are read.
FLAGS = ("help", "install_completion", "show_completion")
CONTEXT = {"help_option_names": ["--help", "-h"], "default_map": dict.fromkeys(FLAGS, False)}

app = typer.Typer(
    name="concierge-calls",
    no_args_is_help=True,
    context_settings=CONTEXT,
    rich_markup_mode=None,  # plain help starts quickly and reads well in a pipe
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; the exit code is the contract's."""
    os.umask(0o077)  # what is said on the phone is nobody else's business
    _fill_standard_streams()
    _do_without()
    app(prog_name="concierge-calls")


def _do_without() -> None:
    # httpx loads a command of its own where click, pygments and rich are there, and does without where that cannot be
    # imported. It takes three times as long as all the rest of httpx, and None is how Python is told not to import it.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]


def _fill_standard_streams() -> None:
    # Where one was closed, the next file that is opened would take its place, and what is printed would go into it.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _told(function: Callable[..., None]) -> Callable[..., None]:
    # What is raised on purpose has its sentence; anything else is a bug and says so.
    @functools.wraps(function)
    def command(*arguments: Any, **options: Any) -> None:
        try:
            function(*arguments, **options)
        except ConciergeError as error:
            _say(error.message)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            _say("Interrupted; nobody was dialled.")
            raise typer.Exit(NOT_CALLED) from None
        except BrokenPipeError:
            from concierge_calls.output import forget_stdout

            forget_stdout()
        except (typer.Exit, SystemExit):
            raise
        except Exception:
            traceback.print_exc()
            _say("This is a bug; please report it with the lines above. What was called is in the journal.")
            raise typer.Exit(BUG) from None

    return command


def _say(message: str) -> None:
    try:
        print(f"concierge-calls: {masked(message)}", file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return  # nobody listens; the exit code still says it


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"concierge-calls {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Has an AI assistant phone every provider in a file, and writes what they answered."""


def _add(name: str, function: Callable[..., None], *, short: str, cls: type[TyperCommand] | None = None) -> None:
    told = with_examples(name, function)
    app.command(name, cls=cls, help=told, short_help=short, context_settings=CONTEXT)(_told(function))


def _add_kestra() -> None:
    commands = typer.Typer(no_args_is_help=True, context_settings=CONTEXT, help=with_examples("kestra", kestra.group))
    for function in (kestra.deploy, kestra.flow, kestra.check):
        commands.command(function.__name__, context_settings=CONTEXT)(_told(function))
    # A flow of another version may say what this one does not know: that is told as a result, too.
    strange = CONTEXT | {"ignore_unknown_options": True}
    commands.command("child", hidden=True, context_settings=strange)(_told(kestra_child.child))
    app.add_typer(commands, name="kestra", short_help="Hand runs to a Kestra server: deploy, flow, check.")


app.callback(help=with_examples("", _options))(_options)
_add("batch", batch.batch, short="Call every provider in a file; the main job.")
_add("call", batch.call, short="Call one provider.")
_add("resume", history.resume, short="Finish a run that was cut short.")
_add("runs", history.runs, short="List the runs in the journal, newest first.")
_add("show", history.show, short="Write one run's document again.")
_add("doctor", doctor.doctor, short="Check everything before phones ring.")
_add("forget", forgetting.forget, short="Erase what was said in a run, and by whom.")
_add("do-not-call", numbers.do_not_call, short="List the numbers that are not to be called; add, remove.")
_add("serve", serve.serve, short="Answer other programs over HTTP.")
_add("simulator", simulator.simulator, short="Start a Vapi to try things on.", cls=simulator.WithEndings)
_add_kestra()
