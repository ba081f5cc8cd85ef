"""Makes the README's table of options from the program; with --check only says whether it is up to date."""

import sys
from pathlib import Path
from typing import cast

from typer.core import TyperGroup, TyperOption
from typer.main import get_command

from concierge_calls.cli.main import app

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- options: made by .ci/options.py -->\n", "<!-- end of options -->\n"


def table() -> str:
    """Return the options of `batch`, a row each, in the order of its help."""
    batch = cast(TyperGroup, get_command(app)).commands["batch"]
    options = (option for option in batch.params if isinstance(option, TyperOption))
    rows = (f"| {named(option)} | {cell(option.help or '')} |" for option in options)
    return "\n".join(("| option | |", "| --- | --- |", *rows, ""))


def named(option: TyperOption) -> str:
    """Return how the option is typed, with the word for its value."""
    spellings = sorted((*option.opts, *option.secondary_opts), key=lambda name: not name.startswith("--"))
    word = "" if option.is_flag else f" {option.metavar}"
    return ", ".join(f"`{cell(name + word)}`" for name in spellings)


def cell(text: str) -> str:
    """Return a text as it stands in a cell of a table."""
    return text.replace("|", "\\|")


def main() -> None:
    """Write the table between its marks, or compare it."""
    before, rest = README.read_text().split(BEGIN)
    _, after = rest.split(END)
    made = f"{before}{BEGIN}{table()}{END}{after}"
    if "--check" not in sys.argv:
        README.write_text(made)
    elif made != README.read_text():
        sys.exit("README.md: the table of options is not what the program says; make it with: python .ci/options.py")


if __name__ == "__main__":
    main()
