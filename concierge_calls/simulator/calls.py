"""One call: what it was asked to be, what is going to happen to it, and what has happened so far."""

from dataclasses import dataclass, field
from typing import Any, Final

from concierge_calls.simulator import saved
from concierge_calls.simulator.analysis import analysis, data_of, structured_outputs, summary_of
from concierge_calls.simulator.chance import draw
from concierge_calls.simulator.conversations import Turn, conversation, stretched
from concierge_calls.simulator.endings import Ending, Manner, ending
from concierge_calls.simulator.options import SimulatorOptions

QUEUE_SECONDS: Final = 1.0
"""(simulated) From the create to the first ring."""
_DEFAULT_LIMIT: Final = 600.0  # Vapi: CreateAssistantDTO.maxDurationSeconds, "@default 600"
_LAST_WORD: Final = 1.0
_ANSWERED: Final = (Manner.SILENT, Manner.VOICEMAIL, Manner.FAULT, Manner.CONVERSATION)


@dataclass(slots=True, eq=False)
class Call:
    """A call; moments are seconds since the epoch in Vapi's clock, durations simulated seconds."""

    id: str
    number: str
    body: dict[str, Any]
    assistant: dict[str, Any]
    ending: Ending
    talk: float
    speed: float
    seed: int
    created: float
    changes: list[tuple[float, str]] = field(default_factory=list)
    """Every moment at which `updatedAt` moved, with the status from then on."""
    limits: dict[str, Any] = field(default_factory=dict)
    rang: float | None = None
    answered: float | None = None
    ended: float | None = None
    reason: str | None = None
    analysed: float | None = None
    erased: bool = False
    on_line: bool = False

    @property
    def status(self) -> str:
        """The status now; `at` says what it was."""
        return self.changes[-1][1]

    @property
    def key(self) -> str | None:
        """The caller's own reference, `customer.externalId`."""
        return (self.body.get("customer") or {}).get("externalId")

    @property
    def variables(self) -> dict[str, Any]:
        """The facts of the request, `assistantOverrides.variableValues`."""
        return (self.body.get("assistantOverrides") or {}).get("variableValues") or {}

    def is_answered(self) -> bool:
        """Return whether somebody, or a machine, takes this call."""
        return self.ending.manner in _ANSWERED

    def at(self, moment: float) -> tuple[float, str] | None:
        """Return the last change (when, status) up to `moment`; None before the call was there."""
        return next((each for each in reversed(self.changes) if each[0] <= moment), None)

    def said(self) -> tuple[list[Turn], dict[str, str]]:
        """Return the turns spoken until the call ended, and the facts they were made from."""
        if self.answered is None or self.ended is None:
            return [], {}
        turns, known = _script(self.ending, self.assistant, self.variables, self.number, self.seed, self.talk)
        spoken = (self.ended - self.answered) * self.speed
        heard = [Turn(each.role, each.text, each.start, min(each.end, spoken)) for each in turns if each.start < spoken]
        return heard, known

    def findings(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return `analysis` and `artifact.structuredOutputs`; both empty where nobody spoke."""
        turns, known = self.said()
        if not self.is_analysed(turns):
            return {}, {}
        data = data_of(self.ending, self.reason or "", known)
        return analysis(self.assistant, data, summary_of(data, known)), structured_outputs(self.assistant, data)

    def is_analysed(self, turns: list[Turn]) -> bool:
        """Return whether Vapi analyses such a call: somebody spoke, and `minMessagesThreshold` (2) is met."""
        least = (self.assistant.get("analysisPlan") or {}).get("minMessagesThreshold")
        return any(each.role == "user" for each in turns) and len(turns) >= (2 if least is None else least)


def plan(identifier: str, body: dict[str, Any], options: SimulatorOptions, now: float) -> Call:
    """Return a call that is to go as its number, the seed and the options want it."""
    number = body["customer"].get("number") or body["customer"].get("sipUri", "")
    assistant = _effective(body)
    settled = ending(number, options)
    limit = assistant.get("maxDurationSeconds") or _DEFAULT_LIMIT
    talk = _talk(settled, assistant, body, number, options, limit)
    if talk >= limit and settled.manner is Manner.CONVERSATION:
        talk, settled = limit, _cut(settled)
    return Call(identifier, number, body, assistant, settled, talk, options.speed, options.seed, now)


def _effective(body: dict[str, Any]) -> dict[str, Any]:
    assistant = body.get("assistant") or saved.assistant(body.get("assistantId") or "")
    overrides = {key: value for key, value in (body.get("assistantOverrides") or {}).items() if value is not None}
    return {**assistant, **overrides}


def _cut(settled: Ending) -> Ending:
    return Ending("exceeded-max-duration", settled.manner, settled.answer, settled.digit, settled.ring)


def _talk(
    settled: Ending,
    assistant: dict[str, Any],
    body: dict[str, Any],
    number: str,
    options: SimulatorOptions,
    limit: float,
) -> float:
    chance = draw(options.seed, number, "talk")
    if settled.manner is Manner.VOICEMAIL:
        return chance.uniform(18, 22)
    if settled.manner is Manner.SILENT:
        return 12.0
    if settled.reason == "exceeded-max-duration":
        return limit
    variables = (body.get("assistantOverrides") or {}).get("variableValues") or {}
    turns, _ = conversation(settled, assistant, variables, number, options.seed)
    whole = chance.uniform(*options.talk) if options.talk else turns[-1].end + _LAST_WORD
    return whole / 2 if settled.manner is Manner.FAULT else whole


def _script(
    settled: Ending, assistant: dict[str, Any], variables: dict[str, Any], number: str, seed: int, talk: float
) -> tuple[list[Turn], dict[str, str]]:
    turns, known = conversation(settled, assistant, variables, number, seed)
    whole = talk * 2 if settled.manner is Manner.FAULT else talk
    as_it_is = settled.manner is Manner.SILENT or (settled.reason == "exceeded-max-duration" and whole < turns[-1].end)
    return (turns if as_it_is else stretched(turns, max(whole - _LAST_WORD, whole * 0.9))), known
