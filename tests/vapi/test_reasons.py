"""What an endedReason says of the calls to come: group by group, and that the answer goes with the call's end."""

from __future__ import annotations

from typing import Any

import pytest

from concierge_calls.backend import Fault, Progress, Stage
from concierge_calls.models import CallStatus, Reason
from concierge_calls.vapi import reasons
from concierge_calls.vapi.backend import VapiBackend
from tests.vapi.conftest import moment, steps
from tests.vapi.test_outcomes import REASONS

AT_ONCE = {"I account-stop", "J config-stop"}
BEFORE_IT_RINGS = {"I2 destination-refused", "K start-transient", "L connect-failed"}
IN_ITS_MIDDLE = {"M1 midcall-fault-transient", "M2 midcall-config-or-quota", "M3 line-or-worker-lost"}
UNHEARD: dict[str, Any] = {"rings": None, "answered": None, "ends": 8.0, "turns": [], "analysed": None}


def expected(name: str) -> tuple[int, Stage] | None:
    if name in AT_ONCE:
        return 1, Stage.IN_PROGRESS
    if name in BEFORE_IT_RINGS:
        return 3, Stage.RINGING
    return (3, Stage.IN_PROGRESS) if name in {*IN_ITS_MIDDLE, "O not-outbound-pstn", reasons.UNKNOWN} else None


def said(fault: Fault | None) -> tuple[int, Stage] | None:
    return None if fault is None else (fault.times, fault.before)


@pytest.mark.parametrize(("reason", "name"), REASONS.items())
def test_every_published_reason_stops_at_once_in_a_row_of_three_or_never_as_its_group_says(
    reason: str, name: str
) -> None:
    fault = reasons.fault(reason)
    assert said(fault) == expected(name)
    assert fault is None or fault.reason.message.endswith(f" Vapi's reason: {reason}.")


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("call.start.error-subscription-of-next-year", "I account-stop"),
        ("assistant-request-of-next-year", "J config-stop"),
        ("call.start.of-next-year", "K start-transient"),
        ("pipeline-error-of-next-year-voice-failed", "M1 midcall-fault-transient"),
        ("something-nobody-knows", reasons.UNKNOWN),
        (None, reasons.UNKNOWN),
    ],
)
def test_a_reason_that_is_newer_than_the_table_says_what_its_group_says(reason: str | None, name: str) -> None:
    assert said(reasons.fault(reason)) == expected(name)


def test_what_stops_a_run_after_three_says_what_happened_and_what_to_mend() -> None:
    assert reasons.fault("twilio-failed-to-connect-call") == Fault(
        reason=Reason(
            "repeated_failure",
            "Three calls in a row ended alike, so nobody else is dialled: they could not be connected. See whether "
            "your phone number's carrier takes its calls, and how many at once. "
            "Vapi's reason: twilio-failed-to-connect-call.",
        ),
        times=3,
        before=Stage.RINGING,
    )


def ends(vapi: Any, reason: str, **how: Any) -> list[Progress]:
    [told] = vapi.follow(vapi.call(reason=reason, **how))
    return [progress for _, progress in told]


def test_the_fault_goes_with_the_end_of_the_call_and_with_nothing_else(vapi: Any) -> None:
    told = ends(vapi, "pipeline-error-eleven-labs-quota-exceeded")
    assert [said(progress.fault) for progress in told] == [None, None, (3, Stage.IN_PROGRESS), None]


@pytest.mark.parametrize("reason", ["call.start.error-subscription-frozen", "call.start.error-get-assistant"])
@pytest.mark.parametrize("rang", [None, 2.0])
def test_an_account_that_cannot_call_is_at_fault_whether_or_not_this_phone_rang(
    vapi: Any, reason: str, rang: float | None
) -> None:
    told = ends(vapi, reason, **UNHEARD | {"rings": rang})
    [fault] = [progress.fault for progress in told if progress.fault]
    assert (said(fault), reason in fault.reason.message) == ((1, Stage.IN_PROGRESS), True)


@pytest.mark.parametrize(
    "reason", ["customer-ended-call", "customer-did-not-answer", "twilio-reported-customer-misdialed"]
)
def test_a_success_a_silence_and_a_bad_number_are_nobodys_fault(vapi: Any, reason: str) -> None:
    assert [progress.fault for progress in ends(vapi, reason) if progress.fault] == []


def test_a_call_that_we_hung_up_is_nobodys_fault_whatever_its_reason(vapi: Any) -> None:
    async def scenario(backend: VapiBackend) -> list[Progress]:
        told = []
        async for progress in steps(backend, vapi.call("c-1", ends=None, deaf=True)):
            told.append(progress)
            if progress.stage is Stage.IN_PROGRESS:
                backend.hang_up("c-1")
                vapi.calls["c-1"].changes.append((9.0, {"status": "ended", "endedReason": "worker-shutdown"}, True))
        return told

    ended = next(progress for progress in vapi.run(scenario) if progress.stage is Stage.ENDED)
    assert ended.outcome is not None
    assert (ended.outcome.status, ended.fault) == (CallStatus.CANCELLED, None)


def test_the_latest_end_is_the_deadline_and_the_time_to_give_a_call_up_and_to_wait_for_its_analysis(vapi: Any) -> None:
    async def scenario(backend: VapiBackend) -> float:
        return (backend.latest_end(moment(10)) - moment(10)).total_seconds()

    assert vapi.run(scenario, call_timeout=300, analysis_timeout=120.0) == 60 + 300 + 30 + 60 + 120


def test_a_call_that_is_not_known_may_take_an_hour_more_and_one_that_has_ended_what_the_analysis_may(vapi: Any) -> None:
    async def scenario(backend: VapiBackend) -> tuple[float, float]:
        unknown, ended = backend.latest_end(moment(10), known=False), backend.latest_analysis(moment(10))
        return (unknown - moment(10)).total_seconds(), (ended - moment(10)).total_seconds()

    times = vapi.run(scenario, call_timeout=300, analysis_timeout=120.0)
    assert times == (60 + 300 + 30 + 3600 + 60 + 120, 120)
