"""What is said in a call: turns with their times, made from the seed, the number and the facts of the request."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from concierge_calls.simulator import scripts
from concierge_calls.simulator.chance import draw
from concierge_calls.simulator.endings import Ending, Manner

_WORDS_A_SECOND = 2.4
_PAUSE = 1.1
_LONGEST_CHATTER = 60
_SOMEBODY = "a client"
_UNSAID = (
    "",
    "none",
    "not given",
    "nothing in particular",
    "unknown",
    "n/a",
)  # what prompts put where a fact is missing
_SOMEWHERE = "the office"
_SENTENCE_START = re.compile(rf"(^|[.!?] )([a-z])(?={_SOMEBODY[1:]}\b|{_SOMEWHERE[1:]}\b)")


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance; `start` and `end` are simulated seconds from the moment the call was answered."""

    role: str
    text: str
    start: float
    end: float


def facts(variables: Mapping[str, Any], ending: Ending, chance: random.Random) -> dict[str, str]:
    """Return what the sentences need: the request's own words where given, else words that fit any service."""
    given = {key: str(value).strip() for key, value in variables.items() if str(value).lower() not in _UNSAID}
    digit = ending.digit if ending.digit in scripts.WHEN_FREE else "0"
    problem, where = given.get("problem_description"), given.get("location")
    tech, worker = chance.sample(scripts.PEOPLE, 2)
    return {
        "provider": given.get("provider_name", _SOMEWHERE),
        "client": given.get("client_name", _SOMEBODY),
        "service": given.get("service_needed", "some help"),
        "criteria": given.get("user_criteria", "experienced and insured").rstrip("."),
        "where": f" in {where}" if where else "",
        "when": given.get("urgency", "soon").replace("_", " "),
        "problem": f" {problem.rstrip('.')}." if problem else "",
        "day": chance.choice(scripts.WHEN_FREE[digit]),
        "rate": chance.choice(scripts.PRICES.get(digit, scripts.PRICES["0"])),
        "tech": tech,
        "worker": worker,
    }


def conversation(
    ending: Ending, assistant: Mapping[str, Any], variables: Mapping[str, Any], number: str, seed: int
) -> tuple[list[Turn], dict[str, str]]:
    """Return the whole conversation of a call that is never cut, and the facts it was made from."""
    chance = draw(seed, number, "conversation")
    known = facts(variables, ending, chance)
    lines = [(role, fill(text, known)) for role, text in _lines(ending, chance)]
    return _timed(_in_the_assistants_words(lines, ending, assistant, variables)), known


def stretched(turns: Sequence[Turn], length: float) -> list[Turn]:
    """Return the same turns, spread so that they last `length` simulated seconds."""
    factor = length / turns[-1].end if turns else 1.0
    return [Turn(each.role, each.text, each.start * factor, each.end * factor) for each in turns]


def fill(text: str, known: Mapping[str, str]) -> str:
    """Put the facts into a sentence, without looking at what they themselves contain."""
    said = re.sub(r"\{(\w+)\}", lambda found: known.get(found[1], found[0]), text)
    return _SENTENCE_START.sub(lambda found: found[1] + found[2].upper(), said)


def _lines(ending: Ending, chance: random.Random) -> list[tuple[str, str]]:
    if ending.manner is Manner.VOICEMAIL:
        return [("user", chance.choice(scripts.MACHINES)), ("bot", scripts.MESSAGE)]
    opening = [("bot", chance.choice(scripts.OPENINGS))]
    if ending.manner is Manner.SILENT:
        return [*opening, ("bot", scripts.UNHEARD)]
    opening += [("user", chance.choice(scripts.GREETINGS)), ("bot", chance.choice(scripts.NEEDS))]
    if ending.reason == "exceeded-max-duration":
        return opening + _chatter(chance)
    return opening + (_deal(chance) if ending.answer == "available" else _brush_off(ending.answer, chance))


def _deal(chance: random.Random) -> list[tuple[str, str]]:
    theirs = (scripts.YESES, scripts.MEETS, scripts.DAYS, scripts.RATES, scripts.BYES)
    ours = (scripts.CRITERIA, scripts.WHENS, scripts.COSTS, scripts.THANKS)
    lines = [("user", chance.choice(theirs[0]))]
    for question, answer in zip(ours, theirs[1:], strict=True):
        lines += [("bot", chance.choice(question)), ("user", chance.choice(answer))]
    return lines


def _brush_off(answer: str, chance: random.Random) -> list[tuple[str, str]]:
    return list(zip(("user", "bot", "user"), chance.choice(scripts.ANSWERS[answer]), strict=True))


def _chatter(chance: random.Random) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    while len(lines) < _LONGEST_CHATTER:
        for theirs, ours in chance.sample(scripts.CHATTER, len(scripts.CHATTER)):
            lines += [("user", theirs), ("bot", ours)]
    return lines


def _in_the_assistants_words(
    lines: list[tuple[str, str]], ending: Ending, assistant: Mapping[str, Any], variables: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Let the assistant say its own first, last and recorded sentences where it has them."""
    own = list(lines)
    if ending.manner is Manner.VOICEMAIL:
        if assistant.get("voicemailMessage") == "":
            return own[:1]  # an empty message hangs up (Vapi: calls/voicemail-detection)
        own[1] = ("bot", liquid(assistant.get("voicemailMessage") or own[1][1], variables))
        return own
    if assistant.get("firstMessageMode") == "assistant-waits-for-user":
        own[:1] = [("user", "Hello?"), own[0]]
    elif assistant.get("firstMessage"):
        own[0] = ("bot", liquid(assistant["firstMessage"], variables))
    if assistant.get("endCallMessage") and ending.reason == "assistant-ended-call":
        own.append(("bot", liquid(assistant["endCallMessage"], variables)))
    return own


def liquid(text: str, variables: Mapping[str, Any]) -> str:
    """Fill in `{{ name }}` as Vapi does, with `| default: "…"` of the filters (dynamic variables, LiquidJS)."""

    def value(found: re.Match[str]) -> str:
        known = variables.get(found[1])
        return str(known) if known not in (None, "") else (found[2] or "")

    return re.sub(r"""\{\{\s*([\w.]+)\s*(?:\|\s*default:\s*["']([^"']*)["']\s*)?[^}]*\}\}""", value, text)


def _timed(lines: Sequence[tuple[str, str]]) -> list[Turn]:
    turns: list[Turn] = []
    clock = 0.4
    for role, text in lines:
        length = max(0.8, len(text.split()) / _WORDS_A_SECOND)
        turns.append(Turn(role, text, clock, clock + length))
        clock += length + _PAUSE
    return turns
