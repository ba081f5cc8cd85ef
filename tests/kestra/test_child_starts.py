"""A child that Kestra starts a second time, after whatever became of the first, never rings anybody twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from concierge_calls import dialer
from tests.crashes.world import until
from tests.kestra.children import AVAILABLE, LATER, NOBODY, RUN, TODAY, Done, Workers, item

ENDED = "customer-ended-call"


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Workers whose calls take no time."""
    with Workers() as made:
        yield made


def dead_while_a_reply_was_awaited(workers: Workers) -> None:
    """Have the first start killed when the phone rings and the reply has not come."""
    workers.options.create_delay = 60.0
    first = workers.start(item(AVAILABLE))
    workers.wait_for(AVAILABLE)
    first.kill()
    workers.options.create_delay = 0.0


def dead_before_the_create(workers: Workers) -> None:
    """Have the first start killed when the dial is marked and nothing has left."""
    workers.start(item(AVAILABLE), planted="after_marker:1").dies()
    assert workers.markers() == [f"{RUN}-0-1"]
    assert workers.keys == {}


def again(workers: Workers, *phones: str, state: str = "state") -> Done:
    """Start it a second time; a call in doubt is looked for during a second instead of two minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialer, "LOOK_AFTER", (0.1, 0.4, 1.0))
        environ = {"CONCIERGE_STATE_DIR": str(workers.folder / state)}
        return workers.call(item(*(phones or (AVAILABLE,))), environ=environ)


def test_a_second_start_of_what_is_over_has_the_same_results_and_asks_vapi_nothing(workers: Workers) -> None:
    first = workers.call(item(AVAILABLE, NOBODY))
    requests = workers.simulator.ledger()["requests"]
    second = workers.call(item(AVAILABLE, NOBODY))

    assert second.results == first.results
    assert second.file == first.file
    assert workers.simulator.ledger()["requests"] == requests


def test_a_second_start_beside_a_living_first_waits_for_it_and_has_its_result(workers: Workers) -> None:
    workers.options.stuck = {AVAILABLE: "in-progress"}
    first = workers.start(item(AVAILABLE))
    workers.talk(AVAILABLE)
    before = workers.opened()
    second = workers.start(item(AVAILABLE))
    until(lambda: workers.opened() != before)
    requests = workers.asked("phone-number")
    workers.hang_up()
    results = first.finish().results

    assert second.finish().results == results
    assert [(result["ended_reason"], result["call_id"]) for result in results] == [
        (ENDED, workers.calls(AVAILABLE)[0]["id"])
    ]
    assert (workers.keys, workers.asked("phone-number")) == ({AVAILABLE: [f"{RUN}-0-1"]}, requests)


def test_a_second_start_beside_a_first_that_is_killed_then_goes_on_from_there(workers: Workers) -> None:
    workers.options.stuck = {AVAILABLE: "in-progress"}
    first = workers.start(item(AVAILABLE, NOBODY))
    workers.talk(AVAILABLE)
    before = workers.opened()
    second = workers.start(item(AVAILABLE, NOBODY))
    until(lambda: workers.opened() != before)
    first.kill()
    workers.hang_up()

    assert [result["ended_reason"] for result in second.finish().results] == [ENDED, "customer-did-not-answer"]
    assert workers.keys == {AVAILABLE: [f"{RUN}-0-1"], NOBODY: [f"{RUN}-1-1"]}


@pytest.mark.parametrize("shared", ["everything", "markers", "nothing"])
def test_a_call_whose_reply_was_awaited_when_the_first_died_is_followed(workers: Workers, shared: str) -> None:
    dead_while_a_reply_was_awaited(workers)
    if shared == "markers":
        workers.forget_journals()
    done = again(workers, state="elsewhere" if shared == "nothing" else "state")
    [call] = workers.calls(AVAILABLE)

    assert (done.result["status"], done.result["call_id"]) == ("completed", call["id"])


@pytest.mark.parametrize("shared", ["everything", "markers"])
def test_what_was_marked_and_never_sent_is_uncertain_and_not_dialled(workers: Workers, shared: str) -> None:
    dead_before_the_create(workers)
    if shared == "markers":
        workers.forget_journals()
    second = again(workers)
    third = again(workers)

    assert (second.result["status"], second.result["call_id"]) == ("uncertain", None)
    assert second.result["error"]["code"] == ("interrupted" if shared == "everything" else "marked")
    assert third.results == second.results
    assert workers.keys == {}


def test_where_nothing_is_shared_and_vapi_shows_no_call_the_row_is_dialled(workers: Workers) -> None:
    dead_before_the_create(workers)

    assert again(workers, state="elsewhere").statuses == ["completed"]
    assert workers.keys == {AVAILABLE: [f"{RUN}-0-1"]}


def test_a_call_that_the_list_does_not_show_yet_is_uncertain_by_its_mark_alone(workers: Workers) -> None:
    dead_while_a_reply_was_awaited(workers)
    workers.forget_journals()
    workers.options.list_lag = 600.0
    second = again(workers)
    workers.options.list_lag = 0.0
    third = again(workers)
    [call] = workers.calls(AVAILABLE)

    assert (second.result["status"], second.result["error"]["code"]) == ("uncertain", "marked")
    assert (third.result["status"], third.result["call_id"]) == ("completed", call["id"])


def test_a_call_that_the_list_shows_a_little_late_is_followed(workers: Workers) -> None:
    dead_while_a_reply_was_awaited(workers)
    workers.forget_journals()
    workers.options.list_lag = 600.0
    looks = workers.asked("list")
    second = workers.start(item(AVAILABLE))  # which looks for two minutes
    until(lambda: workers.asked("list") > looks)
    workers.options.list_lag = 0.0
    done = second.finish()

    assert (done.result["status"], done.result["call_id"]) == ("completed", workers.calls(AVAILABLE)[0]["id"])


def test_two_starts_that_share_only_the_markers_place_one_call_and_both_follow_it(workers: Workers) -> None:
    workers.options.stuck = {AVAILABLE: "in-progress"}
    first = workers.start(item(AVAILABLE))
    workers.talk(AVAILABLE)
    (workers.folder / "other").mkdir()
    (workers.folder / "other" / "markers").symlink_to(workers.state / "markers")
    second = workers.start(item(AVAILABLE), environ={"CONCIERGE_STATE_DIR": str(workers.folder / "other")})
    until(lambda: workers.asked("phone-number") == 2)
    workers.hang_up()
    results = [first.finish().result, second.finish().result]

    assert [(result["ended_reason"], result["call_id"]) for result in results] == [
        (ENDED, workers.calls(AVAILABLE)[0]["id"])
    ] * 2
    assert workers.keys == {AVAILABLE: [f"{RUN}-0-1"]}


def test_the_rest_of_a_slice_is_called_after_a_first_start_that_was_killed(workers: Workers) -> None:
    workers.options.stuck = {TODAY: "in-progress"}
    phones = (AVAILABLE, TODAY, LATER)
    first = workers.start(item(*phones))
    workers.talk(TODAY)
    first.kill()
    second = workers.start(item(*phones))
    workers.hang_up()

    assert [result["index"] for result in second.finish().results] == [0, 1, 2]
    assert workers.keys == {phone: [f"{RUN}-{row}-1"] for row, phone in enumerate(phones)}


def test_a_run_that_was_planned_and_never_begun_is_planned_anew(workers: Workers) -> None:
    workers.start(item(AVAILABLE), planted="after_plan:1").dies()

    assert workers.call(item(AVAILABLE)).statuses == ["completed"]
    assert workers.keys == {AVAILABLE: [f"{RUN}-0-1"]}


def test_a_second_start_that_vapi_refuses_tells_of_the_call_that_goes_on(workers: Workers) -> None:
    workers.options.stuck = {AVAILABLE: "in-progress"}
    first = workers.start(item(AVAILABLE, NOBODY))
    workers.talk(AVAILABLE)
    first.kill()
    [call] = workers.calls(AVAILABLE)
    workers.options.refuse = "key"
    done = workers.call(item(AVAILABLE, NOBODY))

    assert [(result["status"], result["call_id"], result["error"]["code"]) for result in done.results] == [
        ("in_progress", call["id"], "refused"),
        ("not_called", None, "refused"),
    ]
