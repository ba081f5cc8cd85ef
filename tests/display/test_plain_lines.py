"""Call events as plain lines: which are shown, how, and to whom."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from concierge_calls.display import PlainLines, Verbosity
from concierge_calls.models import (
    CallEvent,
    CallRequest,
    CallResult,
    CallStatus,
    EventKind,
    Provider,
    Reason,
    ServiceRequest,
)

AT = datetime(2026, 5, 4, 10, 0, 7, tzinfo=UTC)
WHEN = f"{AT.astimezone():%Y-%m-%d %H:%M:%S}"
BLUE = Provider(name="Blue Ridge", phone="+18645550106")
ASKED = ServiceRequest(service_needed="plumbing")


def event(kind: EventKind, provider: Provider = BLUE, **more: Any) -> CallEvent:
    asked = CallRequest(index=0, provider=provider, request=ASKED)
    return CallEvent(seq=1, at=AT, run_id="r", kind=kind, index=0, request=asked, **more)


def settled(status: CallStatus, provider: Provider = BLUE, **more: Any) -> CallEvent:
    result = CallResult(index=0, provider=provider, request=ASKED, status=status, call_id="a-call", **more)
    kind = EventKind.CALL_SKIPPED if status is CallStatus.SKIPPED else EventKind.CALL_SETTLED
    return event(kind, provider, call_id="a-call", ended_reason="customer-busy", result=result)


def shown(*events: CallEvent, verbosity: Verbosity = Verbosity.NORMAL, heard: str = "") -> list[str]:
    screen = io.StringIO()
    lines = PlainLines(verbosity, lambda _: heard, screen)
    for each in events:
        lines(each)
    text = screen.getvalue()
    assert all(line.startswith(f"{WHEN}  ") for line in text.splitlines())
    return text.replace(f"{WHEN}  ", "").splitlines()


def test_a_call_that_ended_is_one_line_with_its_length_and_what_was_heard() -> None:
    spoken = settled(CallStatus.COMPLETED, started_at=AT, ended_at=AT + timedelta(seconds=148))

    assert shown(spoken, heard="available, today") == [
        "Blue Ridge                      …0106  completed   2:28  available, today"
    ]
    assert shown(settled(CallStatus.NO_ANSWER)) == ["Blue Ridge                      …0106  no answer"]


@pytest.mark.parametrize(
    ("verbosity", "kinds"), [(Verbosity.QUIET, 0), (Verbosity.NORMAL, 0), (Verbosity.VERBOSE, len(EventKind))]
)
def test_steps_of_a_call_are_shown_on_request_only(verbosity: Verbosity, kinds: int) -> None:
    assert len(shown(*map(event, EventKind), verbosity=verbosity)) == kinds


def test_every_event_has_its_name_in_a_column() -> None:
    run = CallEvent(seq=1, at=AT, run_id="r", kind=EventKind.RUN_STARTED)
    events = [
        run,
        event(EventKind.CALL_DIALING),
        event(EventKind.CALL_PENDING),
        event(EventKind.CALL_IN_PROGRESS, call_id="a-call"),
        event(EventKind.CALL_ENDED, call_id="a-call", ended_reason="customer-busy"),
        settled(CallStatus.BUSY),
    ]

    assert shown(*events, verbosity=Verbosity.VERBOSE) == [
        "run.started",
        "call.dialing      Blue Ridge                      …0106",
        "call.pending      Blue Ridge                      …0106",
        "call.in_progress  Blue Ridge                      …0106  a-call",
        "call.ended        Blue Ridge                      …0106  a-call  customer-busy",
        "call.settled      Blue Ridge                      …0106  busy",
    ]


@pytest.mark.parametrize(
    ("status", "code", "is_shown"),
    [
        (CallStatus.COMPLETED, None, False),
        (CallStatus.NO_ANSWER, None, False),
        (CallStatus.ERROR, "call_fault", True),
        (CallStatus.TIMEOUT, "time_limit", True),
        (CallStatus.UNCERTAIN, "reply_lost", True),
        (CallStatus.CANCELLED, "hung_up", True),
        (CallStatus.SKIPPED, "duplicate", False),
        (CallStatus.SKIPPED, "do_not_call", False),
        (CallStatus.SKIPPED, "not_a_number", True),
    ],
)
def test_the_quiet_show_only_what_is_wrong(status: CallStatus, code: str | None, is_shown: bool) -> None:
    error = None if code is None else Reason(code, "why")

    assert bool(shown(settled(status, error=error), verbosity=Verbosity.QUIET)) is is_shown


def test_no_whole_number_is_shown_wherever_it_stands() -> None:
    provider = Provider(name="Call 864-555-0117 now", phone="+18645550106")
    [line] = shown(settled(CallStatus.COMPLETED, provider), heard="call Bob at (864) 555-0118")

    assert line == "Call …0117 now                  …0106  completed         call Bob at …0118"


def test_a_row_without_name_or_number_keeps_its_columns() -> None:
    nobody = Provider(name="", phone=None)

    assert shown(settled(CallStatus.SKIPPED, nobody), heard="why") == [
        "(no name)                           -  skipped           why"
    ]


def test_a_name_is_made_safe_and_cut_to_its_column() -> None:
    provider = Provider(name="\x1b[31m" + "Very " * 20, phone="+18645550106")
    [line] = shown(settled(CallStatus.BUSY, provider))

    assert re.fullmatch(r"\[31mVery Very Very Very Very….*…0106  busy", line)
    assert line.index("…0106") == 32


def test_a_number_in_a_name_is_masked_before_the_name_is_cut_to_its_column() -> None:
    provider = Provider(name="Ace Plumbing Greenville 864-555-0117", phone="+18645550106")

    assert shown(settled(CallStatus.BUSY, provider)) == ["Ace Plumbing Greenville …0117   …0106  busy"]


def test_what_the_backend_says_is_made_safe_and_masked() -> None:
    said = "sip\x1b[2J\r\n\u202efault of 864-555-0118"
    told = event(EventKind.CALL_ENDED, call_id="a\x1b[31mcall\n", ended_reason=said)

    assert shown(told, verbosity=Verbosity.VERBOSE) == [
        "call.ended        Blue Ridge                      …0106  a[31mcall  sip[2J fault of …0118"
    ]


def test_what_was_heard_is_one_safe_line() -> None:
    assert shown(settled(CallStatus.COMPLETED), heard="today\x1b[2J\nat\u202e nine") == [
        "Blue Ridge                      …0106  completed         today[2J at nine"
    ]


@pytest.mark.parametrize(("status", "words"), [(CallStatus.TIMEOUT, "timed out"), (CallStatus.ERROR, "failed")])
def test_a_status_is_said_in_the_words_of_the_summary(status: CallStatus, words: str) -> None:
    assert shown(settled(status)) == [f"Blue Ridge                      …0106  {words}"]


def test_a_sentence_keeps_its_lines_and_its_indent_and_nothing_that_changes_how_it_is_shown() -> None:
    screen = io.StringIO()
    PlainLines(Verbosity.NORMAL, lambda _: "", screen).say("  a\x1b[31m b\r\nc\u202ed\te\x07", "", "\u2066f")

    assert screen.getvalue() == "  a[31m b\ncd e\n\nf\n"


class Gone(io.StringIO):
    """A terminal that was closed."""

    tries = 0

    def write(self, text: str) -> int:
        self.tries += 1
        raise BrokenPipeError


def test_a_terminal_that_closes_ends_the_lines_but_not_the_run() -> None:
    screen = Gone()
    lines = PlainLines(Verbosity.VERBOSE, lambda _: "", screen)
    lines.say("one")
    lines(event(EventKind.CALL_DIALING))
    lines.say("two", "three")

    assert screen.tries == 1


def test_without_any_stderr_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)

    PlainLines(Verbosity.VERBOSE, lambda _: "").say("one")


class Terminal(io.StringIO):
    """A screen that somebody sits at."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_call_is_one_row_and_a_sentence_is_wrapped_at_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    screen = Terminal()
    lines = PlainLines(Verbosity.NORMAL, lambda _: "available, tomorrow at nine in the morning", screen)
    lines(settled(CallStatus.COMPLETED, started_at=AT, ended_at=AT + timedelta(seconds=148)))
    lines.say("Ten providers will be called, at most five of them at once, by a simulator.")

    row, *sentence = screen.getvalue().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d  Blue Ridge +…\d{4}  completed +2:28  .*…", row)
    assert len(row) <= 60
    assert sentence == ["Ten providers will be called, at most five of them at once,", "by a simulator."]


def test_on_a_terminal_a_sentence_is_wrapped_by_cells_and_a_long_word_stays_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    screen = Terminal()
    path = "/home/somebody/calls/" + "x" * 40
    PlainLines(Verbosity.NORMAL, lambda _: "", screen).say(f"{'東京 ' * 9}end", f"It is in {path} now.")

    assert screen.getvalue().splitlines() == [" ".join(["東京"] * 8), "東京 end", "It is in", path, "now."]
