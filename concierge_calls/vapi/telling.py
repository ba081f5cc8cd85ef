"""What is told of a call when its life has come to a step: a pure reading of what is known of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from concierge_calls.backend import Fault, Progress, Stage, Verdict
from concierge_calls.models import CallOutcome, CallStatus, Reason
from concierge_calls.vapi import reasons
from concierge_calls.vapi.following import Do, Life, Step, was_heard
from concierge_calls.vapi.outcomes import Expected, analysis_complete, analysis_due, outcome

_WITHDRAWN: Final = Reason(
    "withdrawn", "The call waited for a free line, and was taken back before anybody's phone rang."
)
_LOST: Final = Reason(
    "lost",
    "Vapi no longer knows this call, so nobody can say whether the phone rang. "
    "Look for it in Vapi's dashboard; it is dialled again only with --redial-uncertain.",
)
_HEARD: Final = (
    "Vapi names a reason for which it dials nobody, and yet the phone rang, so it is not dialled again. "
    "Look at the call in Vapi's dashboard before calling again."
)
_UNENDING: Final = Reason(
    "timeout",
    "The call did not end although it was hung up, and may still be on the line. Look at it in Vapi's dashboard.",
)


def progress(life: Life, step: Step, expects: Expected, base_url: str) -> Progress:
    """Return what is told of the call, now that this is the step to take."""
    if step.do is Do.LOSE:
        known = CallOutcome(status=CallStatus.UNCERTAIN, error=_LOST)
        return Progress(stage=Stage.ENDED, outcome=known, verdict=Verdict.LOST, reason=_LOST, body=_body(life))
    if step.stage not in (Stage.ENDED, Stage.SETTLED):
        return Progress(stage=step.stage)
    result = _outcome(life, step.stage, expects, base_url)
    found = Verdict.FINAL if life.given_up else _verdict(life)
    reason = None if found is Verdict.FINAL else _WITHDRAWN if found is Verdict.WITHDRAWN else result.error
    fault = _fault(life, result) if step.stage is Stage.ENDED else None
    return Progress(stage=step.stage, outcome=result, verdict=found, reason=reason, fault=fault, body=_body(life))


def awaits_analysis(life: Life, expects: Expected) -> bool:
    """Whether the call's analysis is due and not all there."""
    call = life.call
    return (
        call is not None and not life.given_up and analysis_due(call, expects) and not analysis_complete(call, expects)
    )


def _outcome(life: Life, stage: Stage, expects: Expected, base_url: str) -> CallOutcome:
    if life.given_up or life.call is None:
        started_at = life.call.started_at if life.call else None
        return CallOutcome(status=CallStatus.TIMEOUT, started_at=started_at, error=_UNENDING)
    waited = stage is Stage.SETTLED and awaits_analysis(life, expects)
    known = outcome(life.call, expects, waited=waited, base_url=base_url, cut=life.cut)
    denied = was_heard(life) and reasons.verdict(life.call.ended_reason) not in (Verdict.FINAL, Verdict.WITHDRAWN)
    return replace(known, error=Reason(known.error.code, _HEARD)) if denied and known.error else known


def _verdict(life: Life) -> Verdict:
    """What the end means for the row; that a waiting call was deleted lets it be placed again only if we did it."""
    found = Verdict.FINAL if was_heard(life) else reasons.verdict(life.call.ended_reason if life.call else None)
    return Verdict.FINAL if found is Verdict.WITHDRAWN and not life.deleted else found


def _fault(life: Life, result: CallOutcome) -> Fault | None:
    # What we hung up ourselves may end for a reason that is nobody's fault.
    is_failure = result.status is CallStatus.ERROR and life.call is not None
    return reasons.fault(result.ended_reason) if is_failure else None


def _body(life: Life) -> bytes | None:
    return life.call.stored() if life.call else None
