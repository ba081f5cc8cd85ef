"""Journals, runs and call requests to try things on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from concierge_calls.journal import Clock, Journal, NewRun, Owner, RunRecord
from concierge_calls.models import (
    Analysis,
    AnalysisStatus,
    CallMethod,
    CallOutcome,
    CallRequest,
    CallResult,
    CallStatus,
    Format,
    Message,
    Provider,
    Reason,
    ServiceRequest,
)

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


class Hands:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = START
        self.uptime = 100.0

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.time, monotonic=lambda: self.uptime)

    def move(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.uptime += seconds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "runs.db"


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def journal(path: Path, hands: Hands) -> Iterator[Journal]:
    with Journal(path, hands.clock) as journal:
        yield journal


@pytest.fixture
def new_run() -> Callable[..., NewRun]:
    def new(*, owner: Owner | str = Owner.CLI, via: str = "direct", simulated: bool = False) -> NewRun:
        return NewRun(
            owner=owner,
            via=via,
            simulated=simulated,
            max_concurrent=5,
            source="providers.csv",
            version="0.1.0",
            output="out.json",
            format=Format.CSV,
            options={"call_timeout": 300},
        )

    return new


@pytest.fixture
def asked() -> Callable[..., CallRequest]:
    def ask(index: int, *, number: int | None = None, skip: Reason | None = None) -> CallRequest:
        phone = f"+1{200 + index // 100}55501{(index if number is None else number) % 100:02d}"
        return CallRequest(
            index=index,
            provider=Provider(name=f"Provider {index}", phone=phone, line=index + 2, extra={"stars": "4.5"}),
            request=ServiceRequest(service_needed="plumbing"),
            skip=skip,
        )

    return ask


@pytest.fixture
def begin(new_run: Callable[..., NewRun], asked: Callable[..., CallRequest]) -> Callable[..., Awaitable[RunRecord]]:
    async def begun(journal: Journal, rows: int = 3, **facts: object) -> RunRecord:
        record = await journal.draft(new_run(**facts))
        await record.add([asked(index) for index in range(rows)])
        await record.start()
        return record

    return begun


@pytest.fixture
def outcome() -> Callable[..., CallOutcome]:
    def known(status: CallStatus = CallStatus.COMPLETED, *, seconds: float = 90.0, **data: object) -> CallOutcome:
        return CallOutcome(
            status=status,
            ended_reason="customer-ended-call",
            started_at=START,
            ended_at=START + timedelta(seconds=seconds),
            transcript="AI: Hello.\nUser: Tomorrow at nine.",
            messages=(Message(role="user", message="Tomorrow at nine.", seconds_from_start=2.5),),
            analysis=Analysis(status=AnalysisStatus.COMPLETE, summary="They can come.", structured_data=data),
            cost=0.25,
        )

    return known


@pytest.fixture
def result(outcome: Callable[..., CallOutcome]) -> Callable[..., CallResult]:
    def final(asked: CallRequest, status: CallStatus = CallStatus.COMPLETED, **data: object) -> CallResult:
        if status in (CallStatus.UNCERTAIN, CallStatus.ERROR):
            return CallResult.of(asked, CallOutcome(status=status, error=Reason("code", "What happened.")))
        return CallResult.of(asked, outcome(status, **data), call_id="call-1", call_method=CallMethod.DIRECT_VAPI)

    return final
