"""What each command's help begins with: examples to copy, each with what it is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

# The name of a command -> (what it is for, what is typed after `concierge-calls`).
EXAMPLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "": (
        ("try it: no phone rings", "batch providers.csv --simulate"),
        ("see who would be called", "batch providers.csv --service plumbing --dry-run"),
        ("call them", "batch providers.csv --service plumbing --location Greenville"),
    ),
    "batch": (
        ("try it: no phone rings", "batch providers.csv --simulate"),
        ("see who would be called", "batch places.json --request request.toml --dry-run"),
        ("call them, ten at once", "batch places.json --request request.toml --max-concurrent 10"),
        ("from a script: do not ask", "batch leads.csv --map phone=Mobile --yes -o answers.json"),
        ("in a pipe", "batch - --service moving --format csv < in.csv > out.csv"),
    ),
    "call": (
        ("call one number", 'call "+1 864 555 0101" --name Upstate --service plumbing'),
        ("try it: no phone rings", "call 8645550101 --name Upstate --service plumbing --simulate"),
    ),
    "resume": (
        ("finish the latest run that was cut short", "resume"),
        ("finish this one", "resume 20261126-abcdefgh -o answers.json"),
        ("call a number that may have rung", "resume --redial-uncertain 8645550101"),
    ),
    "runs": (
        ("all runs, newest first", "runs"),
        ("the latest one's id", "runs --json | jq -r '.[0].run.id'"),
    ),
    "show": (
        ("the document once more, and who is on the line", "show 20261126-abcdefgh"),
        ("for a spreadsheet", "show 20261126-abcdefgh --format csv -o answers.csv"),
    ),
    "doctor": (
        ("would a run work?", "doctor"),
        ("for a script", "doctor --json | jq -r '.[] | .state, .sentence'"),
    ),
    "forget": (
        ("one run", "forget 20261126-abcdefgh"),
        ("every run that ended more than 90 days ago", "forget --older-than 90d"),
    ),
    "do-not-call": (
        ("who asked not to be called", "do-not-call"),
        ("never call this number again", 'do-not-call --add "+1 864 555 0101"'),
        ("nor those in a file", "do-not-call --import opted-out.csv"),
        ("call it after all", "do-not-call --remove 8645550101"),
    ),
    "serve": (
        ("try it: no phone rings", "serve --simulate"),
        ("for programs on this machine", "serve --port 8000"),
        ("for others, with CONCIERGE_API_TOKEN set", "serve --host 0.0.0.0"),
    ),
    "kestra": (
        ("could the server of KESTRA_URL run it?", "kestra check"),
        ("put the flow there, for ten calls at once", "kestra deploy --max-concurrent 10"),
        ("keep it in git", "kestra flow --dialect 2 > contact_providers.yaml"),
    ),
    "simulator": (
        ("thirty times faster than life", "simulator --speed 30"),
        ("a bad day", "simulator --lose-replies 0.1 --lines 3 --rate-limit 60"),
    ),
}


def with_examples(name: str, function: Callable[..., None]) -> str:
    """Return a command's help: its sentence, then its examples one below the other."""
    sentence = (function.__doc__ or "").strip()
    lines = (f"  # {purpose}\n  concierge-calls {typed}" for purpose, typed in EXAMPLES[name])
    return f"{sentence}\n\n\b\nExamples:\n" + "\n".join(lines)
