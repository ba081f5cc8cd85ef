"""The entry point: answers --version by itself, and imports the command line for everything else."""

from __future__ import annotations

import gc
import signal
import sys

from concierge_calls import __version__

NOT_CALLED = 2


def main() -> None:
    """Run `concierge-calls` with the arguments of this process; exit code 2 where Ctrl-C comes before its command."""
    try:
        _run()
    except KeyboardInterrupt:
        sys.exit(_interrupted())
    except SystemExit as error:
        if not _is_for_ctrl_c(error):
            raise
        sys.exit(_interrupted())


def _run() -> None:
    if sys.argv[1:] == ["--version"]:
        print(f"concierge-calls {__version__}")
        return
    gc.set_threshold(10_000)  # what is loaded stays to the end: a search at each 700 of its objects finds no garbage
    from concierge_calls.cli.main import main as run

    run()


def _is_for_ctrl_c(error: SystemExit) -> bool:
    # While Typer reads the arguments it makes an exit code of its own of Ctrl-C; a command says it in its own words.
    reason = error.__context__
    return reason is not None and isinstance(reason.__cause__, KeyboardInterrupt)


def _interrupted() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever presses it twice is told once
    if sys.stderr is not None:
        print("concierge-calls: Interrupted; nobody was dialled.", file=sys.stderr)
    return NOT_CALLED


if __name__ == "__main__":
    main()
