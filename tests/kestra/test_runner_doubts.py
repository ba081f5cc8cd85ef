"""A run by a Kestra that refuses, forgets, hangs or is lost: nobody is called twice, and nobody is forgotten."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.errors import KestraInDoubt, KestraNotStarted, KestraRefused, KestraUnreachable
from concierge_calls.journal import Journal, NewRun, Owner, RunRecord
from concierge_calls.kestra.client import KestraClient
from concierge_calls.kestra.dialect import Dialect
from concierge_calls.kestra.flow import FlowKind
from concierge_calls.kestra.handing import Terms
from concierge_calls.kestra.inputs import Options
from concierge_calls.kestra.runner import NOT_FOUND, AtWork, KestraRunner
from concierge_calls.kestra.schemas import Execution, Server, TaskRun
from concierge_calls.kestra.server import Ready
from concierge_calls.models import CallEvent, CallRequest, Provider, Reason, ServiceRequest
from concierge_calls.stopping import Worker
from concierge_calls.underway import Awaited

TERMS = Terms(limit=2, options=Options(call_timeout=300, analysis_timeout=120, start_interval=1.0))
NEW = NewRun(owner=Owner.CLI, via="kestra", simulated=False, max_concurrent=2, source="a file", version="0.1.0")

ASKED_AGAIN = "It is asked again until it answers; the calls there may go on."


class Scripted(KestraClient):
    """A Kestra 1.x on paper: what it answers is set by the test, and what it was asked for is kept."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9")
        self.posts: list[Mapping[str, str]] = []
        self.labels: list[Mapping[str, str]] = []
        self.starts: Exception | None = None
        self.known: list[str] = []
        self.on_find: Callable[[], object] = lambda: None
        self.finds = self.silent_for = 0  # looks by label, and how many of them are not answered
        self.only = ""  # the one execution that may be asked for, where that matters
        self.states = iter(["RUNNING", "SUCCESS"])
        self.state = ""
        self.fault: Exception | None = None
        self.told: Callable[[int, str], dict[str, Any] | None] = lambda row, run_id: None
        self.skips: set[int] = set()  # rows whose children never began
        self.at_work: set[int] = set()  # rows whose children are at work
        self.kills = 0
        self.kill_fault: Exception | None = None
        self.is_ended_by_a_kill = True
        self.is_unclear = False  # whose child one of the tasks is
        self.in_outputs: list[dict[str, Any]] = []  # what the flow's own outputs tell
        self.on_look: Callable[[], object] = lambda: None

    async def deploy(self, flow_id: str, source: str) -> int:
        return 4

    async def start(self, flow_id: str, *, revision: int, inputs: Any, files: Any, labels: Any) -> str:
        self.posts.append(inputs)
        self.labels.append(labels)
        if self.starts is not None:
            raise self.starts
        return "an-execution"

    async def find(self, flow_id: str, label: str, value: str, *, namespace: str | None = None) -> list[str]:
        self.finds += 1
        self.on_find()
        if self.finds <= self.silent_for:
            raise KestraUnreachable("Gone.")
        return self.known if self.labels and self.labels[-1][label] == value else []

    async def execution(self, execution_id: str) -> Execution:
        assert execution_id == (self.only or execution_id)
        self.on_look()
        if self.fault is not None:
            raise self.fault
        self.state = next(self.states, self.state)
        return Execution(execution_id, "ns", FlowKind.FAN_OUT.flow_id, 4, {}, self.state, self._runs(), None)

    async def outputs(self, execution: Execution) -> Mapping[str, Any]:
        return {"call_results": self.in_outputs}

    async def kill(self, execution_id: str) -> None:
        self.kills += 1
        if self.kill_fault is not None:
            raise self.kill_fault
        if self.is_ended_by_a_kill:
            self.states = iter(["KILLED"])

    def _runs(self) -> tuple[TaskRun, ...]:
        items = json.loads(self.posts[-1]["providers"]) if self.posts else []
        runs = [TaskRun("guard", "refuse_another_limit", None, "SUCCESS", 1, {})]
        runs += [TaskRun("unclear", "call", None, "KILLED", 1, None)] if self.is_unclear else []
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
    def why(self) -> set[str | None]:
        assert self.record is not None
        results = self.journal.result(self.record.id).results
        return {each.error.message.replace(self.record.id, "RUN") if each.error else None for each in results}

    @property
    def codes(self) -> list[str | None]:
        assert self.record is not None
        results = self.journal.result(self.record.id).results
        return [each.error.code if each.error else None for each in results]

    @property
    def kinds(self) -> list[tuple[int | None, str]]:
        return [(event.index, event.kind.value) for event in self.events]


class Died(BaseException):
    """The process is gone, and cleans up after nothing."""


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
        assert run.why == {"The reply was lost. Look for it with: concierge-calls resume RUN"}

        run.by()
        assert (run.statuses, len(run.client.posts)) == (["uncertain"] * 3, 1)

        run.client.known = ["an-execution"]
        run.by()
        assert (run.statuses, len(run.client.posts)) == (["no_answer"] * 3, 1)


@pytest.mark.parametrize(("silent_for", "status", "finds"), [(12, "no_answer", 13), (99, "uncertain", 25)])
def test_a_start_in_doubt_is_looked_for_until_kestra_answers_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, silent_for: int, status: str, finds: int
) -> None:
    with started(tmp_path) as run:
        run.client.starts = KestraInDoubt("The reply was lost.")
        run.client.told, run.client.known, run.client.silent_for = completed, ["an-execution"], silent_for
        run.by()
        assert (run.statuses, run.client.finds, len(run.client.posts)) == ([status] * 3, finds, 1)
        assert caplog.messages[0] == (
            "Kestra does not answer, so whether it has started the run is not known; it is asked for some minutes, and"
            " started no second time."
        )


def test_who_stops_the_run_ends_the_looks_for_a_start_in_doubt(tmp_path: Path) -> None:
    with started(tmp_path) as run:

        async def stop(runner: KestraRunner) -> None:
            run.client.starts, run.client.silent_for = KestraInDoubt("The reply was lost."), 99
            run.client.on_find = runner.drain
            await runner.call_all()

        run.by(stop)
        assert (run.statuses, run.client.finds) == (["uncertain"] * 3, 5)


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


@pytest.mark.parametrize(("has_left", "status"), [(True, "no_answer"), (False, "uncertain")])
def test_whoever_dies_at_the_post_looks_for_its_execution_afterwards_and_posts_no_other(
    tmp_path: Path, has_left: bool, status: str
) -> None:
    with started(tmp_path) as run:
        run.client.told = completed
        run.client.starts = Died()  # type: ignore[assignment]
        with pytest.raises(Died):
            run.by()
        assert run.statuses == ["in_progress"] * 3

        run.client.known = ["replayed-later", "an-execution"] if has_left else []
        run.client.only = "an-execution"
        run.by()
        assert (run.statuses, len(run.client.posts)) == ([status] * 3, 1)
        assert run.why == {None if has_left else NOT_FOUND.format(run="RUN")}


def test_a_child_without_a_result_is_uncertain_and_one_that_never_began_waits_again_which_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with started(tmp_path) as run:
        run.client.told = lambda row, run_id: completed(row, run_id) if row == 0 else None
        run.client.skips = {2}
        run.by()
        assert (run.statuses, run.codes) == (["no_answer", "uncertain", "pending"], [None, "not_brought_home", None])
        assert caplog.messages == [
            "The execution an-execution at Kestra ended as SUCCESS before everybody was called.",
        ]

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


@pytest.mark.parametrize("status", [404, 422])
def test_an_execution_that_kestra_has_forgotten_or_does_not_tell_of_leaves_everybody_uncertain(
    tmp_path: Path, status: int
) -> None:
    with started(tmp_path) as run:
        run.client.fault = KestraRefused("No such execution.", status)
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
        assert (run.statuses, caplog.messages) == (["no_answer"] * 3, [f"Gone. {ASKED_AGAIN}"])


def test_an_answer_that_is_not_kestras_is_as_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with started(tmp_path) as run:
        run.client.told = completed
        looks = iter([KestraRefused("A page of a proxy."), KestraRefused("Another.")])

        def look() -> None:
            run.client.fault = next(looks, None)

        run.client.on_look = look
        run.by()
        assert (run.statuses, caplog.messages) == (["no_answer"] * 3, [f"A page of a proxy. {ASKED_AGAIN}"])


def test_a_kill_that_is_refused_is_told_once_with_what_it_means_and_the_execution_is_followed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with started(tmp_path) as run:
        run.client.told = completed
        run.client.states = iter(["RUNNING", "RUNNING", "RUNNING", "SUCCESS"])
        run.client.kill_fault = KestraRefused("No right to it.", 403)

        async def stop(runner: KestraRunner) -> None:
            run.client.on_look = runner.drain
            await runner.call_all()

        run.by(stop)
        assert (run.client.kills, run.statuses) == (3, ["no_answer"] * 3)
        assert caplog.messages == [
            "No right to it. Until it is ended the execution an-execution goes on, and so do its calls."
        ]


def test_an_execution_that_goes_on_although_it_was_killed_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("concierge_calls.kestra.following.LOST_AFTER", 0.0)
    with started(tmp_path) as run:

        async def stop(runner: KestraRunner) -> None:
            run.client.on_look = runner.drain
            await runner.call_all()

        run.client.states = iter(["RUNNING"])
        run.client.is_ended_by_a_kill = False
        run.by(stop)
        assert (run.client.kills, run.codes) == (1, ["not_brought_home"] * 3)


def test_an_execution_whose_time_is_over_while_nobody_answers_is_left_to_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("concierge_calls.kestra.following.LOST_AFTER", 0.0)
    with started(tmp_path) as run:
        run.client.fault = run.client.kill_fault = KestraUnreachable("Gone.")
        run.by(allowed=0.0)
        assert run.statuses == ["in_progress"] * 3
        assert caplog.messages == [
            f"Gone. {ASKED_AGAIN}",
            "The execution an-execution at Kestra takes longer than all its calls may, so it is ended.",
            "Gone. Until it is ended the execution an-execution goes on, and so do its calls.",
            "The execution an-execution at Kestra takes longer than all its calls may, and could not be ended. Once"
            " Kestra is well, have the rest brought home with: concierge-calls resume",
        ]

        run.client.fault = run.client.kill_fault = None
        run.client.told = completed
        run.by()
        assert (run.statuses, len(run.client.posts)) == (["no_answer"] * 3, 1)


def test_of_two_results_for_a_row_the_one_is_believed_by_which_a_phone_may_have_rung(tmp_path: Path) -> None:
    with started(tmp_path) as run:
        run.client.told = lambda row, run_id: {**completed(row, run_id), "status": "pending", "call_id": None}
        run.client.on_look = lambda: run.client.in_outputs.extend(
            completed(row, run.record.id) for row in (0, 2) if run.record
        )
        run.by()
        assert run.statuses == ["no_answer", "pending", "no_answer"]


def test_what_was_said_and_is_gone_is_told_where_nobody_here_can_ask_vapi(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    talked = {"status": "completed", "started_at": "2026-11-24T12:00:00Z", "ended_at": "2026-11-24T12:01:00Z"}
    with started(tmp_path) as run:
        run.client.told = lambda row, run_id: completed(row, run_id) | (talked if row else {})
        run.by()
        assert run.statuses == ["no_answer", "completed", "completed"]
        assert caplog.messages == [
            "What was said in 2 calls did not come home from Kestra, since the file with it is gone; how they ended"
            " did. It is in the journal of the worker, and Vapi shows it by the call's id."
        ]


def test_who_is_left_over_is_followed_first_and_then_the_children_of_the_next_execution_count(tmp_path: Path) -> None:
    seen: list[int] = []
    with started(tmp_path) as run:

        async def leave(runner: KestraRunner) -> None:
            await runner._handing.hand_over(lambda: True)

        async def go_on(runner: KestraRunner) -> None:
            run.client.on_look = lambda: seen.append(runner.underway.count(Awaited.END))
            await runner.call_all()

        run.client.states = iter(["RUNNING"])
        run.by(leave)
        run.client.states = iter(["SUCCESS", "RUNNING", "RUNNING", "SUCCESS"])
        run.client.skips, run.client.at_work = {1, 2}, set()
        run.client.on_look = lambda: None

        async def start(flow_id: str, **parts: Any) -> str:
            run.client.skips, run.client.at_work = set(), {1, 2}
            run.client.posts.append(parts["inputs"])
            return "another"

        run.client.start = start  # type: ignore[method-assign]
        run.by(go_on, caller=lambda directly: Idle())
        assert seen == [0, 0, 2, 2]


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


def test_who_may_have_been_dialled_until_the_execution_was_ended_is_looked_for_from_then_on(tmp_path: Path) -> None:
    ended_at: list[datetime] = []
    with started(tmp_path) as run:

        async def stop(runner: KestraRunner) -> None:
            def end() -> None:
                ended_at.append(datetime.now(UTC))
                runner.drain()

            run.client.states, run.client.on_look = iter(["RUNNING"]), end
            await runner.call_all()
            assert run.record is not None
            assert {each.dialed_at > ended_at[0] for each in await run.record.unfinished()} == {True}

        run.by(stop, caller=lambda directly: Idle())


def test_nobody_is_hung_up_where_the_workers_have_stopped_the_run(tmp_path: Path) -> None:
    idle = Idle()
    with started(tmp_path) as run:
        run.client.told = lambda row, run_id: not_called(row, run_id) if row else None
        runner = run.by(caller=lambda directly: idle)
        assert (runner.stopped, idle.drained) == (Reason("settings", "VAPI_API_KEY is not set."), [])


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


def test_whoever_leaves_before_it_is_told_who_never_began_leaves_that_to_a_resume(tmp_path: Path) -> None:
    with started(tmp_path) as run:

        async def leave(runner: KestraRunner) -> None:
            run.client.states = iter(["RUNNING"])
            run.client.is_unclear = True
            seen = asyncio.Event()
            run.client.on_look = seen.set
            work = asyncio.create_task(runner.call_all())
            await seen.wait()
            await runner.leave()
            await work

        run.by(leave)
        assert run.statuses == ["in_progress"] * 3

        run.client.is_unclear, run.client.skips, run.client.on_look = False, {1, 2}, lambda: None
        run.by(dials=False)
        assert run.statuses == ["uncertain", "pending", "pending"]


def test_who_is_stopped_before_the_start_starts_nothing(tmp_path: Path) -> None:
    with started(tmp_path) as run:

        async def stopped(runner: KestraRunner) -> None:
            runner.drain()
            await runner.call_all()

        runner = run.by(stopped)
        assert (run.client.posts, run.statuses, runner.interrupted) == ([], ["pending"] * 3, True)
