"""Help that begins with examples, hints for what was mistyped, and the shell's completion."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from typer.main import get_command

from concierge_calls.cli.examples import EXAMPLES
from concierge_calls.cli.main import app

TYPED = [typed for examples in EXAMPLES.values() for _, typed in examples]


@pytest.mark.parametrize("name", EXAMPLES)
def test_help_begins_with_examples(command: Any, name: str) -> None:
    helped = command(*name.split(), "--help")
    lines = [line.strip() for line in helped.out.splitlines()]
    first = lines.index("Examples:")

    assert (helped.code, helped.err) == (0, "")
    assert not any(line.startswith(("Options:", "Arguments:", "Commands:")) for line in lines[:first])
    assert lines[first + 1 : first + 1 + 2 * len(EXAMPLES[name])] == [
        line for purpose, typed in EXAMPLES[name] for line in (f"# {purpose}", f"concierge-calls {typed}")
    ]
    assert all(len(line) <= 80 for line in helped.out.splitlines())


@pytest.mark.parametrize("typed", TYPED)
def test_every_example_is_understood(typed: str) -> None:
    words = shlex.split(typed.split(" | ")[0].split(" < ")[0])
    known = get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    context = known.make_context(words[0], words[1:])

    assert context.command is known


def test_every_command_has_examples() -> None:
    assert set(EXAMPLES) - {""} == set(get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [
        (("batch", "providers.csv", "--max-concurent", "3"), "--max-concurrent"),
        (("batch", "providers.csv", "--dryrun"), "--dry-run"),
        (("show", "20261126-abcdefgh", "--fromat", "csv"), "--format"),
        (("btach", "providers.csv"), "batch"),
        (("resumé",), "resume"),
    ],
)
def test_what_was_mistyped_is_2_with_a_hint_of_what_was_meant(
    command: Any, mistyped: tuple[str, ...], meant: str
) -> None:
    wrong = command(*mistyped)

    assert (wrong.code, wrong.out) == (2, "")
    assert meant in wrong.err.splitlines()[-1]
    assert "Traceback" not in wrong.err


def completed(command: Any, *words: str) -> list[str]:
    """Return what bash is offered for the last of the words."""
    asked = {
        "_CONCIERGE_CALLS_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("concierge-calls", *words)),
        "COMP_CWORD": str(len(words)),
    }
    return command(environ=asked).out.split()  # type: ignore[no-any-return]


def test_bash_completes_commands_options_and_their_values(command: Any) -> None:
    assert completed(command, "sh") == ["show"]
    assert completed(command, "batch", "--max") == ["--max-concurrent"]
    assert completed(command, "batch", "--format", "j") == ["json", "jsonl"]
    assert completed(command, "batch", "--via", "d") == ["direct"]


def test_bash_completes_the_runs_that_are_there(simulated: Any) -> None:
    run = simulated.finished.document["run"]["id"]

    assert completed(simulated, "show", run[:4]) == [run]
    assert completed(simulated, "resume", run[:4]) == []  # it is finished
