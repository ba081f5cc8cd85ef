"""The writer: in order, in a thread of its own, and harmless whatever becomes of the stream."""

from __future__ import annotations

import io
import logging
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from concierge_calls.display.writer import Writer

PATIENCE = 30.0  # seconds until a test counts as hung


class Stalled(io.StringIO):
    """A terminal that was stopped, or a pipe whose reader does not read, until it goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.goes_on = threading.Event()

    def write(self, text: str) -> int:
        self.asked.set()
        assert self.goes_on.wait(PATIENCE)
        return super().write(text)


def test_before_and_after_its_thread_everything_is_written_at_once() -> None:
    stream = io.StringIO()
    writer = Writer(stream)
    writer.say("one ")
    assert stream.getvalue() == "one "
    writer.start()
    writer.start()
    for number in range(1_000):
        writer.say(f"{number} ")
    writer.close()
    writer.close()
    writer.say("last")

    assert stream.getvalue() == "one " + "".join(f"{number} " for number in range(1_000)) + "last"


def test_a_stream_that_stalls_holds_nobody_up_and_gets_everything_when_it_goes_on() -> None:
    stream = Stalled()
    writer = Writer(stream)
    writer.start()
    for number in range(100):
        writer.say(f"{number} ")
    assert stream.asked.wait(PATIENCE)
    assert stream.getvalue() == ""
    stream.goes_on.set()
    writer.close()

    assert stream.getvalue() == "".join(f"{number} " for number in range(100))


def test_whoever_waits_for_what_is_half_written_waits_for_its_end_and_no_longer_than_they_say() -> None:
    stream = Stalled()
    writer = Writer(stream)
    writer.start()
    writer.say("one")
    assert stream.asked.wait(PATIENCE)
    writer.settle(0.01)
    seen = [stream.getvalue()]

    def wait() -> None:
        writer.settle(PATIENCE)
        seen.append(stream.getvalue())

    with ThreadPoolExecutor() as others:
        waiting = others.submit(wait)
        stream.goes_on.set()
        waiting.result()
    writer.close()

    assert seen == ["", "one"]


def test_what_is_said_while_it_closes_is_written_too() -> None:
    def compose(texts: Sequence[str]) -> str:
        if not texts:  # nothing was said, so it is asked because it closes
            writer.say("late ")
        return "".join(texts)

    stream = Stalled()
    stream.goes_on.set()
    writer = Writer(stream, compose)
    writer.start()
    writer.say("one ")
    assert stream.asked.wait(PATIENCE)
    writer.close()
    writer.say("last")

    assert stream.getvalue() == "one late last"


@pytest.mark.parametrize("is_buffered", [True, False])
def test_a_stream_that_does_not_block_gets_everything_as_it_takes_it(is_buffered: bool) -> None:
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    text = "".join(f"Zoë {number}\n" for number in range(30_000))
    raw = os.fdopen(theirs, "wb", buffering=-1 if is_buffered else 0)
    with open(ours, encoding="utf-8") as reader, ThreadPoolExecutor() as others:
        with io.TextIOWrapper(raw, "utf-8", line_buffering=True) as stream:
            read = others.submit(reader.read)
            writer = Writer(stream)
            writer.start()
            writer.say(text)
            writer.close()

        assert read.result() == text


@pytest.mark.parametrize("error", [BrokenPipeError, OSError, ValueError])
def test_a_stream_that_is_gone_is_tried_once(error: type[Exception]) -> None:
    class Gone(io.StringIO):
        tries = 0

        def write(self, text: str) -> int:
            self.tries += 1
            raise error

    stream = Gone()
    writer = Writer(stream)
    writer.start()
    writer.say("one")
    writer.say("two")
    writer.close()
    writer.say("three")

    assert stream.tries == 1


def test_without_a_stream_nothing_is_written() -> None:
    writer = Writer(None)
    writer.start()
    writer.say("one")
    writer.close()


def test_what_the_stream_has_no_sign_for_is_escaped() -> None:
    raw = io.BytesIO()
    writer = Writer(io.TextIOWrapper(raw, encoding="ascii"))
    writer.say("Café …0106\n")

    assert raw.getvalue() == b"Caf\\xe9 \\u20260106\n"


def test_it_is_asked_for_the_next_frame_though_nothing_was_said() -> None:
    asked = threading.Semaphore(0)

    def compose(texts: Sequence[str]) -> str:
        asked.release()
        return "".join(texts)

    writer = Writer(io.StringIO(), compose, every=0.001)
    writer.start()
    for _ in range(5):
        assert asked.acquire(timeout=PATIENCE)
    writer.close()


def test_a_fault_in_the_drawing_is_logged_once_and_sentences_are_still_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def compose(texts: Sequence[str]) -> str:
        raise ZeroDivisionError

    stream = io.StringIO()
    writer = Writer(stream, compose, every=0.001)
    with caplog.at_level(logging.ERROR):
        writer.start()
        writer.say("one ")
        writer.close()
        writer.say("two")

    assert stream.getvalue() == "one two"
    assert [record.message for record in caplog.records] == [
        "The run cannot be drawn any more; it goes on, and what is said is still written."
    ]
