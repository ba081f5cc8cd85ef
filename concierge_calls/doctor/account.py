"""What Vapi answered means for a run: the key, the phone number, the assistant, the lines and the clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from concierge_calls.doctor.check import Check, State, shown
from concierge_calls.doctor.facts import MOST_CALLS, SettingsFacts, VapiFacts
from concierge_calls.errors import ReadFailed, ReadRefused
from concierge_calls.plain import clock, count
from concierge_calls.settings.fields import SETTINGS

if TYPE_CHECKING:
    from concierge_calls.vapi.outcomes import Expected
    from concierge_calls.vapi.schemas import Assistant, PhoneNumber

SMALLEST_PLAN: Final = 4  # lines (Vapi, billing/pricing-and-success-packages, September 2026)
AGREES: Final = 5.0  # seconds; a Date header is a whole second, and a reply takes its time
ABOUT_THE_KEY: Final = frozenset({401, 403})


def checks(found: SettingsFacts, vapi: VapiFacts) -> Iterator[Check]:
    """Return a check each; where the key is in the way of the others, they say so."""
    key, in_the_way = _key(found, vapi)
    yield key
    yield _number(found, vapi.number, in_the_way)
    yield _assistant(found, vapi.assistant, in_the_way)
    yield _lines(found, vapi, in_the_way)
    yield _clock(vapi.ahead, in_the_way)


def _key(found: SettingsFacts, vapi: VapiFacts) -> tuple[Check, str]:
    """Return the key's check, and why nothing else can be learnt from Vapi, empty where something can."""
    if "api_key" in found.wrong:
        return _unusable("key", "api_key"), "there is no usable key"
    if not found.settings.api_key:
        sentence = (
            "VAPI_API_KEY is not set, so nobody can be called. "
            "Set it in the environment or in .env, or try without a phone: --simulate."
        )
        return Check("key", State.WRONG, sentence), "there is no key"
    if "base_url" in found.wrong:
        return _not_checked("key", "VAPI_BASE_URL is wrong"), "VAPI_BASE_URL is wrong"
    if refusal := _refusal(vapi):
        return Check("key", State.WRONG, refusal.message), "Vapi refuses the key"
    if silence := _silence(vapi):
        return _unread("key", State.WRONG, silence), "Vapi could not be asked"
    return Check("key", State.OK, "Vapi knows the key."), ""


def _refusal(vapi: VapiFacts) -> ReadRefused | None:
    """Return the refusal of the key: one that says so, or one that everything is answered with."""
    refusals = [each for each in vapi.answers() if isinstance(each, ReadRefused) and each.status in ABOUT_THE_KEY]
    is_general = len(refusals) == len(vapi.answers())
    return next((refusal for refusal in refusals if refusal.status == 401 or is_general), None)


def _silence(vapi: VapiFacts) -> ReadFailed | None:
    """Return what came instead of an answer, where there was no answer at all."""
    failures = [each for each in vapi.answers() if isinstance(each, ReadFailed) and not isinstance(each, ReadRefused)]
    return failures[0] if failures and len(failures) == len(vapi.answers()) else None


def _number(found: SettingsFacts, answer: PhoneNumber | ReadFailed | None, in_the_way: str) -> Check:
    if "phone_number_id" in found.wrong:
        return _unusable("number", "phone_number_id")
    if not found.settings.phone_number_id:
        sentence = "VAPI_PHONE_NUMBER_ID is not set. Set it to the id of a phone number in Vapi's dashboard."
        return Check("number", State.WRONG, sentence)
    if in_the_way or answer is None:
        return _not_checked("number", in_the_way)
    if isinstance(answer, ReadFailed):
        return _unread("number", State.WRONG, answer)
    return Check("number", *_of_number(answer))


def _of_number(number: PhoneNumber) -> tuple[State, str]:
    name = f" ({shown(number.name)})" if number.name else ""
    who = f"…{number.number[-4:]}{name}" if number.number else f"The number{name}"
    if number.status == "blocked":
        return State.WRONG, f"{who} is blocked. See why in Vapi's dashboard, or set VAPI_PHONE_NUMBER_ID to another."
    if number.status == "activating":
        return State.WRONG, f"{who} is not active yet. Wait until Vapi's dashboard shows it as active."
    if number.provider == "vapi":
        return State.WARNING, (
            f"{who} is a free Vapi number: about ten calls a day, inside the United States only. "
            "For more, bring a number from Twilio, Vonage or Telnyx and set VAPI_PHONE_NUMBER_ID to it."
        )
    return State.OK, f"{who} places the calls{f', by {shown(number.provider)}' if number.provider else ''}."


def _assistant(found: SettingsFacts, answer: Assistant | ReadFailed | None, in_the_way: str) -> Check:
    record = found.settings.record
    if "assistant_id" in found.wrong:
        return _unusable("assistant", "assistant_id")
    if not found.settings.assistant_id:
        said = "recorded, and its first sentence says so" if record else "not recorded"
        return Check("assistant", State.OK, f"The tool's own assistant speaks; the calls are {said}.")
    if in_the_way or answer is None:
        return _not_checked("assistant", in_the_way)
    if isinstance(answer, ReadFailed):
        return _unread("assistant", State.WRONG, answer)
    return Check("assistant", *_of_assistant(answer, record=record))


def _of_assistant(own: Assistant, *, record: bool) -> tuple[State, str]:
    from concierge_calls.vapi.outcomes import Expected

    brings = Expected.of(own)
    name = shown(own.name or own.id or "without a name")
    version = f" in version {shown(own.latest_version)}" if own.latest_version else ""
    state = State.OK
    sentences = [
        f"Your own assistant {name} speaks{version}; edits count once they are published.",
        f"It brings back {_pieces(brings)}.",
    ]
    if not (brings.structured_data or brings.structured_outputs):
        state = State.WARNING
        sentences.append("Nobody is told who can come without structured data: switch that on in Vapi's dashboard.")
    if record:
        state = State.WARNING
        sentences.append("The calls are recorded (CONCIERGE_RECORD): see that its first sentence says so.")
    else:
        sentences.append("The calls are not recorded, whatever it is set to.")
    return state, " ".join(sentences)


def _pieces(brings: Expected) -> str:
    pieces = {
        "a summary": brings.summary,
        "structured data": brings.structured_data,
        count(len(brings.structured_outputs), "structured output"): bool(brings.structured_outputs),
        "a verdict": brings.success_evaluation,
    }
    *most, last = [piece for piece, is_there in pieces.items() if is_there] or ["nothing but the transcript"]
    return f"{', '.join(most)} and {last}" if most else last


def _lines(found: SettingsFacts, vapi: VapiFacts, in_the_way: str) -> Check:
    if in_the_way or vapi.calls is None:
        return _not_checked("lines", in_the_way)
    if isinstance(vapi.calls, ReadFailed):
        return _unread("lines", State.WARNING, vapi.calls)
    most = found.settings.max_concurrent
    plan = f"A run takes up to {count(most, 'line')}"
    if most > SMALLEST_PLAN:
        plan += f"; Vapi's smallest plan has {SMALLEST_PLAN}, which --max-concurrent {SMALLEST_PLAN} fits"
    live = sum(call.status != "ended" for call in vapi.calls)
    if not live and len(vapi.calls) >= MOST_CALLS:
        some = f"None of {len(vapi.calls):,} calls of the last hour is still going on, and there were more"
        return Check("lines", State.WARNING, f"{some}, so whether lines are free cannot be told. {plan}.")
    if not live:
        return Check("lines", State.OK, f"No call of the last hour is still going on. {plan}.")
    at_least = "At least " if len(vapi.calls) >= MOST_CALLS else ""
    going_on = f"{at_least}{count(live, 'call')} of the last hour {'has' if live == 1 else 'have'} not ended"
    return Check("lines", State.WARNING, f"{going_on}, and all calls of the organisation share its lines. {plan}.")


def _clock(ahead: float | None, in_the_way: str) -> Check:
    if ahead is None:
        return _not_checked("clock", in_the_way)
    if abs(ahead) <= AGREES:
        return Check("clock", State.OK, "This machine's clock agrees with Vapi's.")
    off = f"{clock(abs(ahead))} {'behind' if ahead > 0 else 'ahead of'} Vapi's"
    return Check(
        "clock",
        State.WARNING,
        f"This machine's clock is {off}, so the hours that are shown and the redial guard are off as well. "
        "Have it set by a time server.",
    )


def _unusable(name: str, setting: str) -> Check:
    return Check(name, State.WRONG, f"{SETTINGS[setting].variable} cannot be used as it is set; see settings.")


def _not_checked(name: str, why: str) -> Check:
    return Check(name, State.WARNING, f"Not checked: {why or 'Vapi told nothing of it'}.")


def _unread(name: str, state: State, failure: ReadFailed) -> Check:
    if isinstance(failure, ReadRefused):
        return Check(name, state, failure.message)
    happened = failure.message.partition("; it is asked again")[0].rstrip(".")  # here it no longer is
    return Check(name, state, f"{happened}. Check the network, then try again.")
