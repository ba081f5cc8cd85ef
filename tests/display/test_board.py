"""The board: what a run's events come to, in whatever order and however often they are told."""

from __future__ import annotations

import random

import pytest

from concierge_calls.display.board import LATEST, Board, Row, View
from concierge_calls.models import Analysis, CallStatus, Provider
from tests.display.calls import AT, Calls, after, heard, run, seen


def states(view: View) -> dict[int, str]:
    return {row.index: row.state for row in (*view.live, *view.analysed, *view.ended)}


def figures(view: View) -> tuple[int, int, int, int, int]:
    return view.done, view.on_the_line, view.in_analysis, view.pending, view.skipped


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        (("dialing",), "dialing"),
        (("dialing", "placed"), "dialing"),
        (("dialing", "placed", "ringing"), "ringing"),
        (("dialing", "placed", "ringing", "talking"), "talking"),
        (("dialing", "placed", "ringing", "talking", "ended"), "analysis"),
    ],
)
def test_a_call_is_shown_by_its_latest_step(steps: tuple[str, ...], state: str) -> None:
    calls = Calls()

    assert states(seen(run(total=1, pending=1), *(calls.step(0, step) for step in steps))) == {0: state}


def test_a_call_that_ended_frees_its_line_and_is_done_when_it_is_settled() -> None:
    calls = Calls()
    told = [calls.step(0, "dialing"), calls.step(0, "ended")]
    begun = run(total=3, pending=3)

    assert figures(seen(begun, *told)) == (0, 0, 1, 2, 0)
    assert figures(seen(begun, *told, calls.settled(0, CallStatus.NO_ANSWER))) == (1, 0, 0, 2, 0)


def test_events_in_any_order_and_told_twice_come_to_the_same() -> None:
    calls = Calls()
    told = [calls.step(index, step, at=index) for index in range(4) for step in ("dialing", "placed", "talking")]
    told += [calls.step(index, "ended", at=30) for index in range(3)]
    told += [calls.settled(index, at=31, lasted=20, cost=0.1) for index in range(2)]
    begun = run(total=6, pending=6)
    expected = seen(begun, *told)

    assert figures(expected) == (2, 1, 1, 2, 0)
    for seed in range(50):
        shuffled = [*told, *told]
        random.Random(seed).shuffle(shuffled)  # noqa: S311  an order, not a secret
        view = seen(begun, *shuffled)
        assert (figures(view), states(view), view.cost) == (figures(expected), states(expected), expected.cost)


def test_the_time_of_a_call_runs_from_the_dial_then_from_the_first_word_and_ends_as_the_result_says() -> None:
    calls = Calls()
    dialing, talking = calls.step(0, "dialing", at=5), calls.step(0, "talking", at=20)
    begun = run(total=1, pending=1)

    [ringing] = seen(begun, dialing, at=15).live
    [spoken] = seen(begun, dialing, talking).live
    [over] = seen(begun, dialing, talking, calls.step(0, "ended", at=61)).analysed
    [done] = seen(begun, dialing, talking, calls.settled(0, at=61, lasted=39.5)).ended

    assert (ringing.since, ringing.seconds) == (after(5), None)
    assert (spoken.since, spoken.seconds) == (after(20), None)
    assert over.seconds == 41
    assert done.seconds == 39.5


def test_a_row_that_is_dialled_again_begins_anew() -> None:
    calls = Calls()
    begun = run(total=1, pending=1)
    view = seen(begun, calls.step(0, "dialing"), calls.step(0, "ringing"), calls.step(0, "dialing", at=90))

    [row] = view.live
    assert (row.state, row.since) == ("dialing", after(90))
    assert figures(view) == (0, 1, 0, 0, 0)


def test_a_row_that_is_put_back_waits_again_and_is_on_no_line() -> None:
    calls = Calls()
    begun = run(total=3, pending=3, max_concurrent=3)
    told = [calls.step(index, "dialing") for index in range(3)]
    told += [calls.step(1, "pending"), calls.step(2, "placed"), calls.step(2, "ended"), calls.step(2, "pending")]
    assert (figures(seen(begun, *told)), states(seen(begun, *told))) == ((0, 1, 0, 2, 0), {0: "dialing"})

    told += [calls.step(1, "dialing"), calls.settled(1, CallStatus.BUSY)]
    assert figures(seen(begun, *told)) == (1, 1, 0, 1, 0)
    assert states(seen(begun, *told)) == {0: "dialing", 1: "busy"}


def test_rows_that_are_put_back_come_to_the_same_in_any_order_and_told_twice() -> None:
    calls = Calls()
    told = [calls.step(index, step) for step in ("dialing", "placed", "ringing", "pending") for index in range(4)]
    told += [calls.step(index, step, at=9) for index in range(2) for step in ("dialing", "placed")]
    told += [calls.settled(1, cost=0.1)]
    begun = run(total=4, pending=4)
    expected = seen(begun, *told)

    assert (figures(expected), states(expected)) == ((1, 1, 0, 2, 0), {0: "dialing", 1: "completed"})
    for seed in range(200):
        shuffled = [*told, *told]
        random.Random(seed).shuffle(shuffled)  # noqa: S311  an order, not a secret
        view = seen(begun, *shuffled)
        assert (figures(view), states(view), view.cost) == (figures(expected), states(expected), expected.cost)


def test_a_call_that_was_never_dialled_says_nothing_of_how_long_calls_take() -> None:
    calls = Calls()
    told = [calls.step(index, step, at=50) for index in range(3) for step in ("dialing", "pending")]

    assert seen(run(total=9, pending=9), *told, at=60).seconds_left is None


def test_a_call_in_doubt_that_is_found_after_all_is_on_the_line_again_and_counted_once() -> None:
    calls = Calls()
    told = [calls.step(0, "dialing"), calls.settled(0, CallStatus.UNCERTAIN, call_id=None)]
    begun = run(total=1, pending=1)

    assert figures(seen(begun, *told)) == (1, 0, 0, 0, 0)
    told += [calls.step(0, "placed")]
    assert (figures(seen(begun, *told)), states(seen(begun, *told))) == ((0, 1, 0, 0, 0), {0: "dialing"})
    told += [calls.settled(0)]
    assert (figures(seen(begun, *told)), states(seen(begun, *told))) == ((1, 0, 0, 0, 0), {0: "completed"})


def test_rows_of_an_earlier_process_are_counted_once_whether_they_are_told_at_the_beginning_or_later() -> None:
    calls = Calls()
    begun = run(total=9, successful=3, uncertain=1, in_progress=2, pending=3)
    live = (calls.step(3, "talking", at=-60),)

    assert figures(seen(begun, live=live)) == (4, 1, 0, 4, 0)
    told = [calls.step(4, "talking"), calls.step(5, "dialing"), calls.step(8, "placed"), calls.settled(8)]
    assert figures(seen(begun, *told, live=live)) == (4, 3, 0, 2, 0)
    assert seen(begun, live=live, at=5).live[0].since == after(-60)


def test_rows_that_the_plan_skipped_are_in_the_figures_already_and_others_come_on_top() -> None:
    calls = Calls()
    begun = run(total=4, skipped=1, pending=3)
    view = seen(begun, calls.skipped(0), calls.skipped(1, "called_lately", planned=False))

    assert figures(view) == (0, 0, 0, 2, 2)
    assert view.to_call == 2
    assert [row.said for row in view.ended] == ["called_lately of line 2", "duplicate of line 2"]


def test_the_end_is_told_only_when_a_call_has_ended_for_each_line() -> None:
    calls = Calls()
    told = []
    for index in range(4):
        told += [calls.step(index, "dialing"), calls.settled(index, at=60, lasted=50)]
    begun = run(total=10, pending=10, max_concurrent=4)

    assert seen(begun, *told[:6], at=60).seconds_left is None
    assert seen(begun, *told, at=60).seconds_left == 6 * 60 / 4
    dialled = [calls.step(4, "dialing", at=60), calls.step(5, "dialing", at=60)]
    assert seen(begun, *told, *dialled, at=70).seconds_left == max((4 * 60 + 2 * 50) / 4, 4 * 60 / 6 + 60)


def test_dials_that_are_far_apart_tell_the_end_though_lines_are_free() -> None:
    calls = Calls()
    told = [calls.step(0, "dialing"), calls.settled(0, at=10, lasted=10)]
    told += [calls.step(1, "dialing", at=30), calls.settled(1, at=40, lasted=10)]
    told += [calls.step(2, "dialing", at=60), calls.settled(2, at=70, lasted=10)]
    begun = run(total=13, pending=13, max_concurrent=3)

    assert seen(begun, *told, at=70).seconds_left == 10 * 60 / 3 + 10
    assert seen(run(total=4, pending=4, max_concurrent=4), *told, at=60).seconds_left is None


def test_a_number_that_was_refused_says_nothing_of_how_long_calls_take() -> None:
    calls = Calls()
    told = []
    for index in range(3):
        told += [calls.step(index, "dialing"), calls.settled(index, CallStatus.ERROR, call_id=None)]

    assert seen(run(total=9, pending=9), *told).seconds_left is None


def test_what_is_spent_is_added_up_and_a_simulated_run_spends_nothing() -> None:
    calls = Calls()
    told = [calls.settled(0, cost=0.25), calls.settled(1, cost=None)]

    assert seen(run(total=2, pending=2, cost=1.5), *told).cost == 1.75
    assert seen(run(total=2, pending=2, simulated=True), *told).cost is None


def test_names_and_what_was_said_are_one_safe_line_without_whole_numbers() -> None:
    provider = Provider(name="\x1b[31mAce\x1b[0m\r\nBlue\u202egnik call 864-555-0117", phone="+18645550106")
    calls = Calls()
    [row] = seen(
        run(total=1, pending=1),
        calls.settled(0, provider=provider, error=None, ended_reason="call.in-progress.error-sip_\x1b[2Jfault"),
    ).ended

    assert (row.name, row.tail) == ("[31mAce[0m Bluegnik call …0117", "0106")
    assert row.ended_reason == "error sip [2Jfault"


def test_a_number_is_masked_before_what_others_said_is_cut() -> None:
    provider = Provider(name="A" * 290 + " 864-555-0117", phone=None)
    said = Analysis(summary=" " * 995 + "ring 864-555-0118")
    [row] = seen(run(total=1, pending=1), Calls().settled(0, provider=provider, analysis=said)).ended

    assert (row.name, row.said) == ("A" * 290 + " …0117", "ring …0118")


@pytest.mark.parametrize(("status", "words"), [(CallStatus.TIMEOUT, "timed out"), (CallStatus.ERROR, "failed")])
def test_a_status_is_said_in_the_words_of_the_summary(status: CallStatus, words: str) -> None:
    assert states(seen(run(total=1, pending=1), Calls().settled(0, status))) == {0: words}


def test_a_row_without_name_or_number_says_so() -> None:
    [row] = seen(run(total=1, pending=1), Calls().step(0, "dialing", provider=Provider(name=" ", phone=None))).live

    assert (row.name, row.tail) == ("(no name)", "")


def test_of_many_calls_only_the_latest_are_kept() -> None:
    calls, board = Calls(), Board(heard)
    board.begin(run(total=5_000, pending=5_000), (), AT)
    for index in range(5_000):
        board.fold(calls.step(index, "dialing", provider=Provider(name="A", phone=None)))
        board.fold(calls.settled(index, provider=Provider(name="A", phone=None)))
    view = board.view(10_000, AT)

    assert [row.index for row in view.ended] == list(range(4_999, 4_999 - LATEST, -1))
    assert isinstance(view.ended[0], Row)
    assert repr(board) == "<Board 0 on the line, 0 in analysis, 5000 done>"
