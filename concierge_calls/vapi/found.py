"""What is known at once of a call that was found and had ended."""

from __future__ import annotations

from concierge_calls.backend import Progress, Stage, Verdict
from concierge_calls.vapi.following import stage_of
from concierge_calls.vapi.outcomes import Expected, outcome
from concierge_calls.vapi.reasons import verdict
from concierge_calls.vapi.schemas import Call


def over(call: Call, expects: Expected, base_url: str) -> Progress | None:
    """How the call ended; None while it goes on.

    One that was deleted unheard is WITHDRAWN here, and so never final: whether we did it, the journal alone knows.
    """
    if stage_of(call) is not Stage.ENDED:
        return None
    heard = call.started_at is not None or bool(call.artifact.messages)
    return Progress(
        stage=Stage.ENDED,
        outcome=outcome(call, expects, base_url=base_url),
        verdict=Verdict.FINAL if heard else verdict(call.ended_reason),
        body=call.stored(),
    )
