"""A child that is told to stop dials nobody more, tells what it knows, and is gone; its call goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.crashes.world import stands_still, until
from tests.kestra.children import AVAILABLE, NOBODY, RUN, TODAY, Workers, item

STOPPED = {"code": "stopped", "message": "The task ended before this provider was dialled; nobody's phone rang."}


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Workers whose first call stays on the line."""
    with Workers(stuck={AVAILABLE: "in-progress"}) as made:
        yield made


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_call_on_the_line_is_told_with_its_id_and_followed_by_the_next_start(workers: Workers, number: int) -> None:
    first = workers.start(item(AVAILABLE, NOBODY), planted="lasting")
    workers.talk(AVAILABLE)
    first.tell(number)
    stopped = first.finish()
    [call] = workers.calls(AVAILABLE)

    assert [(result["status"], result["call_id"], result["error"]) for result in stopped.results] == [
        ("in_progress", call["id"], None),
        ("pending", None, STOPPED),
    ]
    assert stopped.file[0]["status"] == "in_progress"
    assert workers.simulator.ledger()["live"] == 1

    second = workers.start(item(AVAILABLE, NOBODY))
    workers.hang_up()

    assert [(result["ended_reason"], result["call_id"]) for result in second.finish().results] == [
        ("customer-ended-call", call["id"]),
        ("customer-did-not-answer", workers.calls(NOBODY)[0]["id"]),
    ]
    assert workers.keys == {AVAILABLE: [f"{RUN}-0-1"], NOBODY: [f"{RUN}-1-1"]}


def test_a_reply_in_flight_is_not_waited_for(workers: Workers) -> None:
    workers.options.create_delay = 60.0
    first = workers.start(item(AVAILABLE), planted="lasting")
    workers.wait_for(AVAILABLE)
    first.tell()
    stopped = first.finish()
    workers.options.create_delay = 0.0
    second = workers.start(item(AVAILABLE))
    workers.hang_up()

    assert [(result["status"], result["call_id"]) for result in stopped.results] == [("in_progress", None)]
    assert second.finish().result["call_id"] == workers.calls(AVAILABLE)[0]["id"]
    assert workers.keys == {AVAILABLE: [f"{RUN}-0-1"]}


def test_a_dial_that_is_marked_and_has_not_left_is_not_made_any_more(workers: Workers) -> None:
    first = workers.start(item(AVAILABLE, NOBODY), planted="lasting,unhurried,after_marker:1:stop")
    until(lambda: stands_still(first.process))  # a marker alone is there a moment earlier
    assert len(workers.markers()) == 1
    workers.options.reply_delay = 60.0
    first.tell()
    first.tell(signal.SIGCONT)
    stopped = first.finish()

    assert [(result["status"], result["error"]) for result in stopped.results] == [("pending", STOPPED)] * 2
    assert (workers.keys, workers.markers()) == ({}, [])

    workers.options.reply_delay = 0.0
    second = workers.start(item(AVAILABLE, NOBODY))
    workers.talk(AVAILABLE)
    workers.hang_up()

    assert second.finish().statuses == ["completed", "no_answer"]


def test_before_the_first_dial_everybody_is_pending(workers: Workers) -> None:
    workers.options.reply_delay = 60.0
    first = workers.start(item(TODAY, NOBODY, place=1), planted="lasting,unhurried")
    until(lambda: workers.asked("phone-number"))
    first.tell()
    stopped = first.finish()

    assert [(result["status"], result["error"]) for result in stopped.results] == [("pending", STOPPED)] * 2
    assert (workers.keys, workers.markers()) == ({}, [])

    workers.options.reply_delay = 0.0

    assert workers.call(item(TODAY, NOBODY, place=1)).statuses == ["completed", "no_answer"]


def test_a_child_that_waits_for_another_start_tells_what_that_one_is_at(workers: Workers) -> None:
    workers.start(item(AVAILABLE, NOBODY))
    workers.talk(AVAILABLE)
    before = workers.opened()
    second = workers.start(item(AVAILABLE, NOBODY), planted="lasting")
    until(lambda: workers.opened() != before)
    second.tell()

    assert [(result["status"], result["call_id"]) for result in second.finish().results] == [
        ("in_progress", workers.calls(AVAILABLE)[0]["id"]),
        ("pending", None),
    ]


def test_a_child_whose_line_nobody_reads_is_gone_all_the_same(workers: Workers) -> None:
    reader, writer = full_pipe()
    first = workers.start(item(AVAILABLE), stdout=writer)
    workers.talk(AVAILABLE)
    first.tell()

    assert first.finish().code == 0
    os.close(reader)
    os.close(writer)


def full_pipe() -> tuple[int, int]:
    """Return the two ends of a pipe that takes nothing more."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    return reader, writer
