"""A run by a Kestra that refuses, forgets, hangs or is lost: nobody is called twice, and nobody is forgotten."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.errors import KestraInDoubt, KestraNotStarted, KestraRefused, KestraUnreachable
from concierge_calls.journal import Journal, NewRun, Owner, RunRecord
from concierge_calls.kestra.client import KestraClient
from concierge_calls.kestra.dialect import Dialect
from concierge_calls.kestra.flow import FlowKind
from concierge_calls.kestra.handing import Terms
from concierge_calls.kestra.order import Options
from concierge_calls.kestra.runner import AtWork, KestraRunner
from concierge_calls.kestra.schemas import Execution, Server, TaskRun
from concierge_calls.kestra.server import Ready
from concierge_calls.models import CallEvent, CallRequest, Provider, Reason, ServiceRequest
from concierge_calls.stopping import Worker
from concierge_calls.underway import Awaited

TERMS = Terms(limit=2, options=Options(call_timeout=300, analysis_timeout=120, start_interval=1.0))
NEW = NewRun(owner=Owner.CLI, via="kestra", simulated=False, max_concurrent=2, source="a file", version="0.1.0")


class Scripted(KestraClient):
    """A Kestra 1.x on paper: what it answers is set by the test, and what it was asked for is kept."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9")
        self.posts: list[Mapping[str, str]] = []
        self.labels: list[Mapping[str, str]] = []
        self.starts: Exception | None = None
        self.known: list[str] = []
        self.states = iter(["RUNNING", "SUCCESS"])
        self.state = ""
        self.fault: Exception | None = None
        self.told: Callable[[int, str], dict[str, Any] | None] = lambda row, run_id: None
        self.skips: set[int] = set()  # rows whose children never began
        self.at_work: set[int] = set()  # rows whose children are at work
        self.kills = 0
        self.on_look: Callable[[], object] = lambda: None

    async def deploy(self, flow_id: str, source: str) -> int:
        return 4

    async def start(self, flow_id: str, *, revision: int, inputs: Any, files: Any, labels: Any) -> str:
        self.posts.append(inputs)
        self.labels.append(labels)
        if self.starts is not None:
            raise self.starts
        return "an-execution"

    async def find(self, flow_id: str, label: str, value: str) -> list[str]:
        return self.known if self.labels and self.labels[-1][label] == value else []

    async def execution(self, execution_id: str) -> Execution:
        self.on_look()
        if self.fault is not None:
            raise self.fault
        self.state = next(self.states, self.state)
        return Execution(execution_id, "ns", FlowKind.FAN_OUT.flow_id, 4, {}, self.state, self._runs(), None)

    async def outputs(self, execution: Execution) -> Mapping[str, Any]:
        return {}

    async def kill(self, execution_id: str) -> None:
        self.kills += 1
        self.states = iter(["KILLED"])

    def _runs(self) -> tuple[TaskRun, ...]:
        items = json.loads(self.posts[-1]["providers"]) if self.posts else []
        runs = [TaskRun("guard", "refuse_another_limit", None, "SUCCESS", 1, {})]
        for item in items:
            row = item["providers"][0]["index"]
            told = self.told(row, item["run_id"])
            outputs = None if told is None else {"vars": {"results": [told]}, "outputFiles": {}}
            if row not in self.skips:
                state = "RUNNING" if row in self.at_work else "SUCCESS"
                runs.append(TaskRun(str(row), "call", json.dumps(item), state, 1, outputs))
        return tuple(runs)


def completed(row: int, run_id: str) -> dict[str, Any]:
    """Return what a child prints of a call that went well."""
    return {"index": row, "run_id": run_id, "status": "no_answer", "call_id": f"call-{row}"}


def not_called(row: int, run_id: str) -> dict[str, Any]:
    """Return what a child prints where it could call nobody."""
    error = {"code": "settings", "message": "VAPI_API_KEY is not set."}
    return {"index": row, "run_id": run_id, "status": "not_called", "call_id": None, "error": error}


class Run:
    """A run in a journal of its own, and what was told of it."""

    def __init__(self, journal: Journal, client: Scripted) -> None:
        self.journal = journal
        self.client = client
        self.events: list[CallEvent] = []
        self.record: RunRecord | None = None

    def by(self, work: Callable[[KestraRunner], Awaitable[object]] | None = None, **more: Any) -> KestraRunner:
        """Begin the run, or go on with it, and return who worked it off."""

        async def play() -> KestraRunner:
            if self.record is None:
                self.record = await self.journal.draft(NEW)
                await self.record.add([asked(index) for index in range(3)])
                await self.record.start()
            runner = self.runner(self.record, **more)
            await (runner.call_all() if work is None else work(runner))
            return runner

        return asyncio.run(play())

    def runner(self, record: RunRecord, *, allowed: float = 3600.0, **more: Any) -> KestraRunner:
        server = Server("1.3.25", Dialect.V1)
        ready = Ready(client=self.client, server=server, kind=FlowKind.FAN_OUT, source="a flow", allowed=allowed)
        facts: dict[str, Any] = {"caller": None, "poll": 0.001, "sleep": at_once, **more}
        return KestraRunner(record, ready, TERMS, observer=self.events.append, **facts)

    @property
    def statuses(self) -> list[str]:
        assert self.record is not None
        return [each.status.value for each in self.journal.result(self.record.id).results]

    @property
    def codes(self) -> list[str | None]:
        assert self.record is not None
        results = self.journal.result(self.record.id).results
        return [each.error.code if each.error else None for each in results]

    @property
    def kinds(self) -> list[tuple[int | None, str]]:
        return [(event.index, event.kind.value) for event in self.events]


class Idle:
    """Works a run off by calling nobody."""

    stopped, interrupted, underway = None, False, AtWork(0)

    def __init__(self) -> None:
        self.drained: list[bool] = []

    async def call_all(self) -> None:
        """Call nobody."""

    def drain(self, *, hang_up: bool = False) -> None:
        """Keep whether calls were to be hung up."""
        self.drained.append(hang_up)

    async def leave(self) -> None:
        """Nobody is followed."""


def asked(index: int) -> CallRequest:
    provider = Provider(name=f"Provider {index}", phone=f"+18645550{100 + index}")
    return CallRequest(index=index, provider=provider, request=ServiceRequest(service_needed="plumbing"))


async def at_once(_: float) -> None:
    await asyncio.sleep(0)


@contextmanager
def started(folder: Path) -> Iterator[Run]:
    with Journal(folder / "journal.db") as journal:
        yield Run(journal, Scripted())


def test_every_row_has_its_childs_result_by_its_own_number_and_is_told_of_once(tmp_path: Path) -> None:
    with started(tmp_path) as run:
        run.client.told = completed
        runner = run.by()

        assert run.statuses == ["no_answer"] * 3
        told = [event for event in run.events if event.index == 1]
        assert [(event.kind.value, event.call_id, event.result is not None) for event in told] == [
            ("call.dialing", None, False),
            ("call.placed", "call-1", False),
            ("call.ended", "call-1", False),
            ("call.settled", "call-1", True),
        ]
        assert (runner.stopped, runner.interrupted, run.client.kills) == (None, False, 0)
        assert run.client.labels == [
            {"run": run.record and run.record.id, "handover": f"{run.record and run.record.id}.1"}
        ]


def test_a_start_that_was_refused_has_every_row_wait_again(tmp_path: Path) -> None:
    with started(tmp_path) as run:
        run.client.starts = KestraNotStarted("No.")
        with pytest.raises(KestraNotStarted):
            run.by()
        assert (run.statuses, run.kinds) == (["pending"] * 3, [])


def test_a_start_that_was_refused_goes_directly_where_that_is_allowed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[bool] = []

    def caller(directly: bool) -> Worker:
        made.append(directly)
        return Idle()

    with started(tmp_path) as run:
        run.client.starts = KestraNotStarted("No.")
        run.by(caller=caller, may_go_directly=True)
        assert run.record is not None
        assert (made, run.journal.result(run.record.id).run.via) == ([True], "direct")
        assert caplog.messages == ["The calls go directly to Vapi, since Kestra did not begin this run. No."]


def test_a_start_in_doubt_that_is_not_found_is_uncertain_and_never_posted_again_and_may_be_found_later(
    tmp_path: Path,
) -> None:
    with started(tmp_path) as run:
        run.client.starts = KestraInDoubt("The reply was lost.")
        run.client.told = completed
        run.by(may_go_directly=True)
        assert (run.statuses, run.codes) == (["uncertain"] * 3, ["kestra_in_doubt"] * 3)

        run.by()
        assert (run.statuses, len(run.client.posts)) == (["uncertain"] * 3, 1)

        run.client.known = ["an-execution"]
        run.by()
        assert (run.statuses, len(run.client.posts)) == (["no_answer"] * 3, 1)


def test_what_was_claimed_and_never_posted_is_handed_over_by_the_next_sitting(tmp_path: Path) -> None:
    with started(tmp_path) as run:
        run.client.told = completed

        async def claim_alone(runner: KestraRunner) -> None:
            assert run.record is not None
            handovers = run.record.handovers
            handover = await handovers.begin(namespace="ns", flow_id="a_flow", revision=1, allowed=1.0)
            await runner._handing._claim_all(handover, lambda: True)

        run.by(claim_alone)
        assert run.statuses == ["in_progress"] * 3
        run.by()
        assert (run.statuses, len(run.client.posts)) == (["no_answer"] * 3, 1)


def test_a_child_without_a_result_is_uncertain_and_one_that_never_began_waits_again(tmp_path: Path) -> None:
    with started(tmp_path) as run:
        run.client.told = lambda row, run_id: completed(row, run_id) if row == 0 else None
        run.client.skips = {2}
        run.by()
        assert (run.statuses, run.codes) == (["no_answer", "uncertain", "pending"], [None, "not_brought_home", None])

        run.client.told, run.client.skips, run.client.states = completed, set(), iter(["SUCCESS"])
        run.by()
        assert run.statuses == ["no_answer", "uncertain", "no_answer"]
        assert [
            each["index"] for item in json.loads(run.client.posts[1]["providers"]) for each in item["providers"]
        ] == [2]


def test_results_of_another_run_or_of_nobodys_row_change_nothing(tmp_path: Path) -> None:
    with started(tmp_path) as run:
        run.client.told = lambda row, run_id: completed(row + 10, run_id) if row else completed(row, "another-run")
        run.by()
        assert run.statuses == ["uncertain"] * 3


def test_an_execution_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    with started(tmp_path) as run:
        run.client.states = iter(["RUNNING"])
        run.client.told = lambda row, run_id: completed(row, run_id) if row == 0 else None
        run.by(allowed=0.0)
        assert (run.client.kills, run.statuses) == (1, ["no_answer", "uncertain", "uncertain"])


def test_why_the_workers_call_nobody_stops_the_run(tmp_path: Path) -> None:
    with started(tmp_path) as run:
        run.client.told = not_called
        runner = run.by()
        assert runner.stopped == Reason("settings", "VAPI_API_KEY is not set.")
        assert run.statuses == ["pending"] * 3


def test_where_kestra_does_not_let_us_look_any_more_the_rest_is_left_to_a_resume(tmp_path: Path) -> None:
    with started(tmp_path) as run:
        run.client.fault = KestraRefused("Not any more.", 401)
        runner = run.by()
        assert runner.stopped == Reason("kestra_refused", "Not any more.")
        assert run.statuses == ["in_progress"] * 3

        run.client.fault, run.client.told = None, completed
        run.by()
        assert run.statuses == ["no_answer"] * 3


def test_an_execution_that_kestra_has_forgotten_leaves_everybody_uncertain(tmp_path: Path) -> None:
    with started(tmp_path) as run:
        run.client.fault = KestraRefused("No such execution.", 404)
        run.by()
        assert run.statuses == ["uncertain"] * 3


def test_a_server_that_is_gone_for_a_while_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with started(tmp_path) as run:
        run.client.told = completed
        looks = iter([KestraUnreachable("Gone."), KestraUnreachable("Gone."), None])

        def look() -> None:
            run.client.fault = next(looks, None)

        run.client.on_look = look
        run.by()
        assert (run.statuses, caplog.messages) == (["no_answer"] * 3, ["Gone."])


def test_to_stop_kills_the_execution_and_to_leave_leaves_the_rest_to_a_resume(tmp_path: Path) -> None:
    with started(tmp_path) as run:
        run.client.told = lambda row, run_id: completed(row, run_id) if row == 0 else None
        run.client.skips = {2}

        async def stop(runner: KestraRunner) -> None:
            run.client.states = iter(["RUNNING"])
            run.client.on_look = lambda: runner.drain() if run.client.state else None
            await runner.call_all()

        runner = run.by(stop)
        assert (run.client.kills, runner.interrupted) == (1, True)
        assert run.statuses == ["no_answer", "uncertain", "pending"]


@pytest.mark.parametrize("hang_up", [False, True])
def test_who_follows_what_did_not_come_home_is_told_whether_to_hang_up(tmp_path: Path, hang_up: bool) -> None:
    idle = Idle()
    with started(tmp_path) as run:

        async def stop(runner: KestraRunner) -> None:
            run.client.states = iter(["RUNNING"])
            run.client.on_look = lambda: runner.drain(hang_up=hang_up) if run.client.state else None
            await runner.call_all()

        run.by(stop, caller=lambda directly: idle)
        assert idle.drained == [hang_up]


def test_children_at_work_are_calls_on_the_line_until_nobody_here_knows_when(tmp_path: Path) -> None:
    seen: list[tuple[int, ...]] = []
    with started(tmp_path) as run:

        async def look(runner: KestraRunner) -> None:
            run.client.on_look = lambda: seen.append(tuple(map(runner.underway.count, Awaited)))
            run.client.at_work = {0, 1}
            await runner.call_all()
            assert [runner.underway.latest(each) for each in Awaited] == [None] * 3

        run.by(look)
        assert seen[-1] == (2, 0, 0)


def test_to_leave_sends_the_kill_and_follows_no_longer(tmp_path: Path) -> None:
    with started(tmp_path) as run:

        async def leave(runner: KestraRunner) -> None:
            run.client.states = iter(["RUNNING"])
            seen = asyncio.Event()
            run.client.on_look = seen.set
            work = asyncio.create_task(runner.call_all())
            await seen.wait()
            await runner.leave()
            await work

        run.by(leave)
        assert (run.client.kills, run.statuses) == (1, ["in_progress"] * 3)


def test_who_is_stopped_before_the_start_starts_nothing(tmp_path: Path) -> None:
    with started(tmp_path) as run:

        async def stopped(runner: KestraRunner) -> None:
            runner.drain()
            await runner.call_all()

        runner = run.by(stopped)
        assert (run.client.posts, run.statuses, runner.interrupted) == ([], ["pending"] * 3, True)
