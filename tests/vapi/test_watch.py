"""The change feed: every live call by one list request a tick, and by its id where the list cannot be trusted."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from concierge_calls.backend import Placed, Progress, Stage, Verdict
from concierge_calls.models import AnalysisStatus, CallStatus
from concierge_calls.vapi.backend import VapiBackend
from concierge_calls.vapi.following import Pace
from tests.vapi.conftest import sighted, steps

STAGES = [Stage.RINGING, Stage.IN_PROGRESS, Stage.ENDED, Stage.SETTLED]


def stages(told: list[tuple[float, Progress]]) -> list[tuple[float, Stage]]:
    return [(at, progress.stage) for at, progress in told]


def test_a_call_is_told_stage_by_stage_each_once_and_settled_when_its_analysis_has_come(vapi: Any) -> None:
    [told] = vapi.follow(vapi.call(rings=1, answered=5, ends=30, analysed=4))

    assert stages(told) == [(1, STAGES[0]), (5, STAGES[1]), (30, STAGES[2]), (34, STAGES[3])]
    assert told[-1][1].outcome.analysis.status is AnalysisStatus.COMPLETE
    assert vapi.asked == {"list": 35}  # one a second, and none by id


def test_fifty_live_calls_cost_one_list_request_a_tick(vapi: Any) -> None:
    told = vapi.follow(*(vapi.call(f"c-{n}", ends=20 + n / 2) for n in range(50)))

    assert [stages(each)[2] for each in told] == [(-(-(40 + n) // 2), Stage.ENDED) for n in range(50)]
    assert set(vapi.asked) == {"list"}
    assert vapi.moments("list") == list(range(len(vapi.moments("list"))))


def test_nothing_is_asked_while_nobody_is_followed(vapi: Any) -> None:
    async def scenario(backend: VapiBackend) -> None:
        await asyncio.sleep(100)
        placed = vapi.call(created=100, ends=3)
        assert [progress.stage async for progress in steps(backend, placed)][-1] is Stage.SETTLED
        asked = len(vapi.requests)
        await asyncio.sleep(100)
        assert len(vapi.requests) <= asked + 1  # the tick that was due when the call was left

    vapi.run(scenario)
    assert vapi.moments("list")[0] == 100


def test_a_call_that_is_first_seen_when_it_has_ended_skips_the_stages_before(vapi: Any) -> None:
    [told] = vapi.follow(vapi.call(rings=0.2, answered=0.4, ends=0.6), poll_interval=5.0)

    assert stages(told) == [(5, Stage.ENDED), (5, Stage.SETTLED)]


def test_a_list_that_does_not_fit_on_a_page_is_read_page_by_page(vapi: Any) -> None:
    calls = [vapi.call(f"c-{n}", created=(n - 1100) / 50, rings=None, answered=None, ends=40) for n in range(1100)]
    told = vapi.follow(*calls)

    assert [each[-1][1].stage for each in told] == [Stage.SETTLED] * 1100
    assert any("createdAtLe" in filters for _, _, filters in vapi.requests)
    assert vapi.asked["get"] == 0


def test_a_full_page_of_calls_created_at_the_same_moment_does_not_go_on_for_ever(vapi: Any) -> None:
    calls = [vapi.call(f"c-{n}", rings=None, answered=None, ends=10) for n in range(1200)]
    told = vapi.follow(*calls, poll_interval=10.0)

    assert [each[-1][1].stage for each in told] == [Stage.SETTLED] * 1200  # the last 200 were found by their ids
    assert vapi.asked["list"] < 20


def test_two_changes_with_one_time_stamp_are_both_told_though_one_shows_later(vapi: Any) -> None:
    prompt, late = vapi.call("c-1", ends=20), vapi.call("c-2", ends=20, lag=1.5)
    told = vapi.follow(prompt, late)

    assert [stages(each)[2] for each in told] == [(20, Stage.ENDED), (22, Stage.ENDED)]


def test_what_became_of_a_call_before_it_was_followed_is_not_lost(vapi: Any) -> None:
    async def scenario(backend: VapiBackend) -> list[Progress]:
        async def first(placed: Placed) -> Progress:
            return await anext(steps(backend, placed))

        busy = asyncio.create_task(first(vapi.call("c-1", rings=9.0)))
        placed = vapi.call("c-2", rings=None, answered=None, ends=0.5, reason="customer-busy")
        await asyncio.sleep(8)  # so long was the reply on its way, while the feed went on
        told = [progress async for progress in steps(backend, placed)]
        await busy
        return told

    told = vapi.run(scenario)
    assert [progress.stage for progress in told] == [Stage.ENDED, Stage.SETTLED]
    assert told[-1].outcome.status is CallStatus.BUSY
    assert vapi.asked["get"] == 0


def test_a_call_that_the_list_loses_is_found_by_the_sweep_and_then_swept_for_more_often(vapi: Any) -> None:
    lost = [vapi.call("c-1", ends=50, hidden_from=20), vapi.call("c-2", ends=71, hidden_from=20)]
    told = vapi.follow(*lost)

    assert [stages(each)[2] for each in told] == [(65, Stage.ENDED), (75, Stage.ENDED)]


def test_a_call_that_the_list_never_showed_is_asked_for_after_ten_seconds(vapi: Any) -> None:
    [told] = vapi.follow(vapi.call(ends=25, hidden_from=0))

    assert stages(told)[:2] == [(10, Stage.IN_PROGRESS), (30, Stage.ENDED)]


def test_a_list_that_stands_still_is_seen_through(vapi: Any) -> None:
    frozen = vapi.call(ends=200)
    vapi.answer = lambda kind, at: (
        httpx.Response(200, json=[vapi.calls["c-1"].shown(min(at, 10.0))]) if kind == "list" else None
    )
    [told] = vapi.follow(frozen)

    assert stages(told)[2] == (245, Stage.ENDED)


def test_a_trusted_feed_is_checked_by_a_sweep_a_minute(vapi: Any) -> None:
    vapi.follow(vapi.call(ends=200))

    assert vapi.moments("get") == [65, 125, 185]


def test_an_analysis_that_does_not_move_updated_at_is_asked_for_by_id(vapi: Any) -> None:
    other = vapi.call("c-2", ends=200)
    vapi.calls["c-2"].changes += [(n / 2, {}, True) for n in range(400)]
    told, _ = vapi.follow(vapi.call("c-1", ends=30, analysed=20, frozen=True), other)

    assert stages(told)[-2:] == [(30, Stage.ENDED), (75, Stage.SETTLED)]
    assert told[-1][1].outcome.analysis.status is AnalysisStatus.COMPLETE
    assert vapi.moments("get")[:3] == [35, 45, 75]


def test_an_analysis_that_does_not_move_updated_at_is_taken_from_the_feed_where_it_still_shows_the_call(
    vapi: Any,
) -> None:
    [told] = vapi.follow(vapi.call(ends=30, analysed=2, frozen=True))

    assert stages(told)[-1] == (32, Stage.SETTLED)
    assert vapi.asked["get"] == 0


def test_an_analysis_that_vapi_refuses_to_show_is_missing(vapi: Any) -> None:
    vapi.answer = lambda kind, at: httpx.Response(401, json={"message": "no"}) if at > 30 else None
    [told] = vapi.follow(vapi.call(ends=30))

    assert stages(told)[-1] == (150, Stage.SETTLED)
    assert told[-1][1].outcome.analysis.status is AnalysisStatus.MISSING


def test_an_analysis_that_never_comes_is_missing_after_the_time_allowed_for_it(vapi: Any) -> None:
    [told] = vapi.follow(vapi.call(ends=30, analysed=None), analysis_timeout=120.0)

    assert stages(told)[-2:] == [(30, Stage.ENDED), (150, Stage.SETTLED)]
    assert told[-1][1].outcome.analysis.status is AnalysisStatus.MISSING
    assert vapi.moments("get") == [35, 45, 75, 150]


def test_an_analysis_is_not_missing_because_vapi_could_not_be_asked(vapi: Any) -> None:
    vapi.answer = lambda kind, at: httpx.Response(503) if 30 < at < 630 else None
    [told] = vapi.follow(vapi.call(ends=30, analysed=300))

    assert told[-1][0] > 630
    assert told[-1][1].outcome.analysis.status is AnalysisStatus.COMPLETE


@pytest.mark.parametrize("turns", [[], [{"role": "bot", "message": "Hello?"}]])
def test_no_analysis_is_awaited_where_nobody_spoke(vapi: Any, turns: list[dict[str, Any]]) -> None:
    placed = vapi.call(answered=None, ends=30, reason="customer-did-not-answer", turns=turns, analysed=None)
    [told] = vapi.follow(placed)

    assert stages(told) == [(1, Stage.RINGING), (30, Stage.ENDED), (30, Stage.SETTLED)]
    assert vapi.asked["get"] == 0


def test_a_list_that_fails_for_ten_minutes_ends_no_call_and_the_calls_are_asked_for_by_id(vapi: Any) -> None:
    vapi.answer = lambda kind, at: httpx.Response(500) if kind == "list" and 10 < at < 610 else None
    [told] = vapi.follow(vapi.call(ends=100))

    assert [stage for _, stage in stages(told)] == STAGES
    assert 100 <= told[2][0] <= 112
    assert told[2][1].verdict is Verdict.FINAL


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502])
def test_ten_minutes_without_any_answer_end_no_call(vapi: Any, status: int) -> None:
    vapi.answer = lambda kind, at: httpx.Response(status, text="<html>") if 10 < at < 610 else None
    [told] = vapi.follow(vapi.call(ends=100))

    assert [stage for _, stage in stages(told)] == STAGES
    assert 610 <= told[2][0] <= 700
    assert told[2][1].outcome.status is CallStatus.COMPLETED
    assert vapi.asked["delete"] == vapi.asked["control"] == 0


def test_a_slow_answer_about_one_call_holds_up_no_other(vapi: Any) -> None:
    vapi.delays["get"] = 25.0
    old = vapi.call("c-1", created=-100, rings=None, answered=None, ends=300)
    _, told = vapi.follow(old, vapi.call("c-2", ends=10))

    assert stages(told)[2] == (10, Stage.ENDED)


def test_a_call_placed_long_ago_is_asked_for_by_its_id_and_the_list_is_not_read_from_then_on(vapi: Any) -> None:
    [told] = vapi.follow(vapi.call(created=-90_000, ends=30))

    assert [stage for _, stage in stages(told)] == [Stage.ENDED, Stage.SETTLED]
    assert vapi.asked["get"] == 1
    assert all(filters["updatedAtGe"] >= "2026-01-01T09:59" for _, kind, filters in vapi.requests if kind == "list")


def test_a_call_placed_a_while_ago_is_asked_for_at_once(vapi: Any) -> None:
    [told] = vapi.follow(vapi.call(created=-100, rings=1, answered=5, ends=150))

    assert stages(told)[0] == (0, Stage.IN_PROGRESS)


def test_an_analysis_that_was_due_long_ago_is_not_waited_for_again(vapi: Any) -> None:
    [told] = vapi.follow(vapi.call(created=-3000, ends=1000, analysed=None), call_timeout=7200)

    assert stages(told) == [(0, Stage.ENDED), (0, Stage.SETTLED)]
    assert told[-1][1].outcome.analysis.status is AnalysisStatus.MISSING
    assert vapi.asked["get"] == 1


def test_the_feed_is_asked_every_few_seconds_however_few_requests_there_may_be(vapi: Any) -> None:
    vapi.limit = 20
    vapi.follow(*(vapi.call(f"c-{n}", created=-100, ends=250) for n in range(30)))

    asked = vapi.moments("list")
    assert max(later - earlier for earlier, later in pairwise(asked)) <= 7


def test_a_404_on_a_young_call_is_lag(vapi: Any) -> None:
    [told] = vapi.follow(vapi.call(created=-70, ends=100, unknown_until=5.0))

    assert stages(told) == [(10, Stage.IN_PROGRESS), (30, Stage.ENDED), (34, Stage.SETTLED)]


def test_a_call_that_vapi_does_not_know_is_lost_an_hour_after_its_deadline(vapi: Any) -> None:
    [told] = vapi.follow(vapi.call(hidden_from=0, unknown_until=float("inf")))

    [(at, last)] = told
    assert (last.stage, last.verdict, last.reason.code) == (Stage.ENDED, Verdict.LOST, "lost")
    assert last.outcome.status is CallStatus.UNCERTAIN
    assert 390 + 3600 <= at <= 390 + 3600 + 10


def test_a_call_that_vapi_has_not_known_for_three_minutes_is_said_to_be_unknown_and_is_still_followed_to_its_end(
    vapi: Any,
) -> None:
    placed = vapi.call(created=-20, ends=600, hidden_from=0, unknown_until=500)
    told = vapi.run(lambda backend: sighted(backend, placed), call_timeout=3600)

    assert told == [(190, False), (500, True), (500, Stage.IN_PROGRESS), (580, Stage.ENDED), (585, Stage.SETTLED)]
    assert vapi.warnings == [
        "Vapi does not know call c-1 any more, so its line is used for the next one; "
        "it is asked for until it shows itself, at the longest for an hour after its time limit."
    ]


def test_a_call_that_is_unknown_to_the_end_is_said_to_be_so_once_and_then_lost(vapi: Any) -> None:
    placed = vapi.call(created=-120, hidden_from=0, unknown_until=float("inf"))
    told = vapi.run(lambda backend: sighted(backend, placed))

    assert [what for _, what in told] == [False, Stage.ENDED]
    assert told[0][0] == 180
    assert 270 + 3600 <= told[1][0] <= 270 + 3600 + 10


def test_only_answers_tell_that_a_call_is_unknown_and_one_that_shows_it_begins_the_minutes_anew(vapi: Any) -> None:
    placed = vapi.call(created=-70, ends=1000, hidden_from=0)
    unknown = httpx.Response(404, json={"message": "Not Found", "statusCode": 404})

    def answer(kind: str, at: float) -> httpx.Response | None:
        if kind != "get" or 100 <= at < 160:  # once it is shown
            return None
        return httpx.Response(503) if 200 <= at < 600 else unknown if at < 700 else None

    vapi.answer = answer
    told = vapi.run(lambda backend: sighted(backend, placed), call_timeout=3600)

    assert [what for _, what in told][:3] == [Stage.IN_PROGRESS, False, True]
    unknown_at, known_at = told[1][0], told[2][0]
    assert (600 <= unknown_at <= 640, 700 <= known_at <= 740) == (True, True)


@pytest.mark.parametrize("status", ["not-found", "deletion-failed", "something-new"])
def test_an_odd_status_ends_nothing_by_itself(vapi: Any, status: str) -> None:
    placed = vapi.call(ends=100)
    vapi.calls["c-1"].changes.insert(3, (20.0, {"status": status}, True))
    [told] = vapi.follow(placed)

    assert [stage for _, stage in stages(told)] == STAGES
    assert told[2][0] == 100


def test_an_older_picture_of_a_call_takes_nothing_back(vapi: Any) -> None:
    placed = vapi.call(ends=40)
    vapi.calls["c-1"].changes[3:3] = [(20.0, {"status": "ringing"}, True), (25.0, {"status": "in-progress"}, True)]
    [told] = vapi.follow(placed)

    assert [stage for _, stage in stages(told)] == STAGES


def test_a_time_stamp_from_the_future_hides_nothing(vapi: Any) -> None:
    first, second = vapi.call("c-1", ends=90), vapi.call("c-2", ends=30)
    vapi.calls["c-1"].changes.insert(1, (0.5, {"updatedAt": "2026-01-01T10:01:20.000Z"}, True))
    told = vapi.follow(first, second)

    assert stages(told[1])[2] == (30, Stage.ENDED)


def test_only_the_calls_that_changed_are_woken(vapi: Any) -> None:
    async def scenario(backend: VapiBackend) -> int:
        watch, far = backend._watch, backend.now() + timedelta(hours=1)
        calls = [vapi.call(f"c-{n}", rings=None, answered=None, ends=None) for n in range(200)]
        lives = [watch.follow(placed, far) for placed in calls]
        await asyncio.sleep(1.5)
        for life in lives:
            life.news.clear()
        vapi.calls["c-7"].changes.append((3.0, {"status": "ringing"}, True))
        await asyncio.sleep(20)
        return sum(life.news.is_set() for life in lives)

    assert vapi.run(scenario) == 1


def test_a_bug_in_the_feed_is_raised_in_everybody_who_follows(vapi: Any) -> None:
    def broken(kind: str, at: float) -> None:
        if kind == "list" and at > 10:
            raise KeyError("a bug")

    vapi.answer = broken
    first, second = vapi.call("c-1"), vapi.call("c-2")

    async def scenario(backend: VapiBackend) -> list[Any]:
        async def follow(placed: Any) -> None:
            async for _ in backend.follow(placed):
                pass

        results = await asyncio.gather(follow(first), follow(second), return_exceptions=True)
        late = await asyncio.gather(follow(vapi.call("c-3", created=11, ends=None)), return_exceptions=True)
        return [*results, *late]

    for fault in vapi.run(scenario):
        assert isinstance(fault, RuntimeError)
        assert isinstance(fault.__cause__, KeyError)


def test_a_bug_in_a_question_about_one_call_is_raised_in_whoever_follows_it(vapi: Any) -> None:
    def broken(kind: str, at: float) -> None:
        if kind == "get":
            raise KeyError("a bug")

    vapi.answer = broken
    with pytest.raises(RuntimeError, match="could not be followed"):
        vapi.follow(vapi.call(created=-100, ends=200))


def test_whoever_stops_following_leaves_nothing_behind(vapi: Any) -> None:
    async def scenario(backend: VapiBackend) -> None:
        following = backend.follow(vapi.call())
        await anext(following)
        assert "1 calls" in repr(backend)
        await following.aclose()  # type: ignore[attr-defined]
        assert "0 calls" in repr(backend)
        asked = len(vapi.requests)
        await asyncio.sleep(1000)
        assert len(vapi.requests) <= asked + 1

    vapi.run(scenario)


def test_the_repr_says_whether_the_feed_can_be_trusted(vapi: Any) -> None:
    async def scenario(backend: VapiBackend) -> list[str]:
        before = repr(backend)
        return [before] + [repr(backend) async for _ in backend.follow(vapi.call(ends=100, hidden_from=20))]

    seen = vapi.run(scenario)
    assert "<Watch of 0 calls, <Looks up to nothing>, trusted>" in seen[0]
    assert "has missed a change" in seen[-1]


def test_every_wait_can_be_shortened_by_its_pace(vapi: Any) -> None:
    pace = Pace(sweep=5.0)
    [told] = vapi.follow(vapi.call(ends=12, hidden_from=6), pace=pace)

    assert told[2][0] == 15
