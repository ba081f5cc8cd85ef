"""The entry point: answers --version by itself, and imports the command line for everything else."""

from __future__ import annotations

import sys

from concierge_calls import __version__


def main() -> None:
    """Run `concierge-calls` with the arguments of this process."""
    if sys.argv[1:] == ["--version"]:
        print(f"concierge-calls {__version__}")
        return
    from concierge_calls.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
