"""What is said on stderr: one line for each call that ends, everything with -v, only what is wrong with -q."""

from __future__ import annotations

import re
from typing import Any

BUSY = "Blue Ridge,(864) 555-0106,plumbing"
ODD = "Odd,900-555-0100,plumbing"


def test_a_run_reads_well_in_a_mail(simulated: Any) -> None:
    lines = simulated.finished.lines
    ended = sorted(lines[5:9])

    assert lines[:5] == [
        "4 providers will be called, at most 3 at once; 2 of 6 will not, each with its reason in the document.",
        "A simulator takes the calls: no phone rings.",
        "From columns of the file: service from 'service', criteria from 'criteria'.",
        "WHEN  Blue Ridge again                …0100  skipped           duplicate of line 2",
        "WHEN  Odd                                 -  skipped          "
        " providers.csv, line 7: 'none' is not a phone number; correct it.",
    ]
    assert re.fullmatch(
        r"WHEN  Blue Ridge                      …0100  completed   M:SS  available, .+, \$\d+ .+", ended[0]
    )
    assert ended[1] == "WHEN  Falls Park                      …0126  busy"
    assert ended[2].startswith("WHEN  Haywood                         …0137  voicemail   M:SS")
    assert ended[3] == "WHEN  Reedy River                     …0115  no answer"
    assert lines[9:] == [
        "6 providers: 1 completed, 1 no answer, 1 busy, 1 voicemail, 2 skipped.",
        "M:SS in all, at most 3 calls at once, M:SS a conversation on average, COST."
        " Simulated: no phone rang, nothing was spent.",
    ]


def test_every_event_is_said_with_v(command: Any, providers: Any, vapi: Any) -> None:
    finished = command("batch", providers(BUSY), "-v")

    assert [line for line in finished.lines if "call.ringing" not in line] == [
        "1 provider will be called.",
        "The calls go through this machine, as VAPI_BASE_URL says.",
        "From columns of the file: service from 'service'.",
        "WHEN  run.started",
        "WHEN  call.dialing      Blue Ridge                      …0106",
        "WHEN  call.placed       Blue Ridge                      …0106  CALL",
        "WHEN  call.ended        Blue Ridge                      …0106  CALL  customer-busy",
        "WHEN  call.settled      Blue Ridge                      …0106  busy",
        "WHEN  run.ended",
        "1 provider: 1 busy.",
        "M:SS in all, at most 1 call at once, COST.",
    ]


def test_nothing_is_said_with_q_while_nothing_is_wrong(command: Any, providers: Any, vapi: Any) -> None:
    finished = command("batch", providers(BUSY, "Twin,864 555 0106,plumbing"), "-q")

    assert (finished.code, finished.err) == (0, "")


def test_what_is_wrong_is_said_with_q(command: Any, providers: Any, vapi: Any) -> None:
    finished = command("batch", providers(BUSY, ODD, "Faulty,(864) 555-0109,plumbing"), "-q")

    assert finished.code == 3
    assert len(finished.lines) == 2
    assert finished.lines[0] == (
        "WHEN  Odd                                 -  skipped          "
        " providers.csv, line 3: '…0100' is a premium-rate number, which costs extra; it is never called."
    )
    assert finished.lines[1].startswith(
        "WHEN  Faulty                          …0109  error       M:SS  A service behind"
    )


def test_numbers_are_shown_by_their_last_four_digits_and_whole_in_the_document(
    command: Any, providers: Any, vapi: Any
) -> None:
    file = providers(BUSY, ODD, "Call (864) 555-0117 now,(864) 555-0117,plumbing")
    finished = command("batch", file, "-v")
    digits = re.sub(r"\D", "", finished.err)

    assert [result["provider"]["phone"] for result in finished.document["results"]] == [
        "+18645550106",
        None,
        "+18645550117",
    ]
    assert not any(number in digits for number in ("8645550106", "9005550100", "8645550117"))


def test_names_cannot_play_tricks_on_the_terminal(command: Any, providers: Any) -> None:
    names = [
        "\x1b[31mRed\x1b[0m",
        "Blue\u202egnik\u202c",
        "Two\tparts",
        "Half\u200bwidth",
        "Ace \U0001f527",
        "Bell\x07",
    ]
    rows = [f"{name},(864) 555-01{number:02},plumbing" for number, name in enumerate(names)]
    finished = command("batch", providers(*rows), "--dry-run")

    assert [line[6:20].rstrip() for line in finished.lines[: len(names)]] == [
        "[31mRed[0m",
        "Bluegnik",
        "Two parts",
        "Halfwidth",
        "Ace \U0001f527",
        "Bell",
    ]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", finished.err)
    assert [result["provider"]["name"] for result in finished.document["results"]] == names


def test_a_closed_stderr_does_not_stop_the_run(command: Any, providers: Any, vapi: Any) -> None:
    finished = command.shell(f'"$COMMAND" batch {providers(BUSY)} -v 2>&-')

    assert finished.code == 0
    assert finished.document["stats"]["busy"] == 1
