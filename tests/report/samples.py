"""A run and its results, to write documents of and to speak of at the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from concierge_calls.models import CallResult, CallStatus, Provider, Reason, RunInfo, ServiceRequest

START = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
RUN = RunInfo(
    id="20260504-abcdefgh",
    started_at=START,
    ended_at=START + timedelta(seconds=318),
    via="direct",
    simulated=False,
    dry_run=False,
    max_concurrent=5,
    source="providers.csv",
    version="0.1.0",
    finished=True,
)
REFUSED = Reason("credits", "Vapi wants to be paid first.")


def result(index: int = 0, **more: Any) -> CallResult:
    """Return the result of a call to Blue Ridge, who was busy unless something else is said."""
    known: dict[str, Any] = {
        "index": index,
        "status": CallStatus.BUSY,
        "provider": Provider(name="Blue Ridge", phone="+18645550106", phone_given="(864) 555-0106", line=2),
        "request": ServiceRequest(service_needed="plumbing"),
    }
    return CallResult(**known | more)
