"""How somebody at a terminal is asked before something that cannot be undone, and told what came of it."""

from __future__ import annotations

import sys

import typer

from concierge_calls.plain import masked

DECLINED, NEEDS_A_LOOK = 2, 3


def at_a_terminal() -> bool:
    """Tell whether somebody can be asked."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def agreed(question: str) -> bool:
    """Ask at the terminal, and tell whether the answer was yes."""
    ask(question)
    answer = ""
    try:
        answer = sys.stdin.readline()
    finally:
        if not answer.endswith("\n"):  # Ctrl-C or Ctrl-D: the sentence that follows has a line of its own
            say("")
    return is_yes(answer)


def ask(question: str) -> None:
    """Put a question to whoever sits there, which only a plain yes answers with yes."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()


def is_yes(answer: str) -> bool:
    """Tell whether what was typed is a yes."""
    return answer.strip().lower() in ("y", "yes")


def say(sentence: str) -> None:
    """Say something on stderr, without whole phone numbers."""
    typer.echo(masked(sentence), err=True)
