"""How a call ends: by the last digit of its number, or by the endedReason that a test wants."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from concierge_calls.simulator.chance import draw
from concierge_calls.simulator.options import SimulatorOptions

ENDINGS: Final[dict[str, str]] = {
    "0": "answers: available tomorrow, by the hour",
    "1": "answers: available today, for a flat fee",
    "2": "answers: available later this week, after an estimate",
    "3": "answers: wants to call back",
    "4": "answers no: booked out (04 to 34), fails the criteria (44 to 64), never call again (74 to 94)",
    "5": "nobody answers",
    "6": "busy",
    "7": "voicemail",
    "8": "answers and talks on until the call's own limit cuts it, however long that is",
    "9": "answers, and a fault at a provider of Vapi's ends the call in the middle",
}
"""Last digit of the number -> what happens, in a sentence."""

# Published by Vapi in the enum of Call.endedReason (OpenAPI document of August 2026).
_FAULTS: Final = (
    "call.in-progress.error-providerfault-openai-503-server-overloaded-error",
    "call.in-progress.error-providerfault-google-500-server-error",
)
_GOODBYES: Final = ("assistant-ended-call", "customer-ended-call", "assistant-said-end-call-phrase")


class Manner(StrEnum):
    """How far a call gets, which is all that the reason of its end decides."""

    UNPLACED = "never rings"
    UNANSWERED = "rings, nobody answers"
    SILENT = "is answered, and the other side says nothing"
    VOICEMAIL = "is answered by a machine"
    FAULT = "is answered and breaks off"
    CONVERSATION = "is answered and comes to its end"


# The first pattern found decides; Vapi's reasons have no other structure than their words.
_MANNERS: Final = (
    (Manner.UNPLACED, r"^call\.start\.|^call-start-|^assistant-(request|not)-|deleted$|bypass|configfault"),
    (Manner.VOICEMAIL, r"^voicemail$"),
    (
        Manner.UNANSWERED,
        r"did-not-answer|^customer-busy$|rejected|misdialed|unallocated|failed-to-connect|never-connected|outbound-sip-\d"
        r"|carrier-released|^call\.ringing|worker-not-available",
    ),
    (
        Manner.SILENT,
        r"^silence|did-not-receive|join-timed-out|microphone-permission|not-active|transport-missing|failed-to-start",
    ),
    (
        Manner.CONVERSATION,
        r"^assistant-(ended|said|forwarded)|^customer-ended|completed|^exceeded-max|^call\.ending|transfer|^call\.forwarding"
        r"|^manually-canceled$",
    ),
)


@dataclass(frozen=True, slots=True)
class Ending:
    """What is settled about a call before it rings; the durations are simulated seconds."""

    reason: str
    manner: Manner
    answer: str
    """What the other end has to say: `available` `callback` `unavailable` `disqualified` `do-not-call`."""
    digit: str
    ring: float


def manner(reason: str) -> Manner:
    """Return how far a call gets that ends with `reason`; an unknown one is a fault in the middle."""
    return next((name for name, pattern in _MANNERS if re.search(pattern, reason)), Manner.FAULT)


def ending(number: str, options: SimulatorOptions) -> Ending:
    """Return how the call of `number` ends: `options.endings` first, then its last digit, then the seed."""
    chance = draw(options.seed, number, "ending")
    digit = number[-1] if number[-1:].isdigit() else "0"
    reason = options.endings.get(number) or _reason(digit, chance.random())
    ring = {"5": chance.uniform(25, 30), "6": 4.0}.get(digit, chance.uniform(3, 8))
    if number in options.endings and reason == "customer-did-not-answer":
        ring = chance.uniform(25, 30)
    return Ending(reason, manner(reason), _answer(number, digit), digit, ring)


def _reason(digit: str, chance: float) -> str:
    fixed = {
        "5": "customer-did-not-answer",
        "6": "customer-busy",
        "7": "voicemail",
        "8": "exceeded-max-duration",
        "9": _FAULTS[int(chance * len(_FAULTS))],
    }
    return fixed.get(digit) or _GOODBYES[int(chance * len(_GOODBYES))]


def _answer(number: str, digit: str) -> str:
    if digit == "3":
        return "callback"
    if digit != "4":
        return "available"
    tens = number[-2:-1]
    if tens in "0123":
        return "unavailable"
    return "disqualified" if tens in "456" else "do-not-call"
