"""What is said on stderr: one line for each call that ends, everything with -v, only what is wrong with -q."""

from __future__ import annotations

import re
from typing import Any

BUSY = "Blue Ridge,(864) 555-0106,plumbing"
ODD = "Odd,900-555-0100,plumbing"


def test_a_run_reads_well_in_a_mail(simulated: Any) -> None:
    lines = simulated.finished.lines
    ended = sorted(lines[7:11])

    assert lines[:7] == [
        "4 providers will be called, at most 3 at once; 2 of 6 will not, each with its reason in the document.",
        "Not called: 1 (duplicate): duplicate of line 2.",
        "Not called: 1 (not a number): providers.csv, line 7: 'none' is not a phone number; correct it.",
        "From columns of the file: service from 'service', criteria from 'criteria'.",
        "A simulator takes the calls: no phone rings.",
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
    assert re.fullmatch(r"Blue Ridge    …0100  available  \w.+  \$\d+ .+", lines[13])
    assert re.split("  +", lines[12]) == ["Who may come", "Phone", "Answer", "When", "Rate"]
    assert lines[14:-1] == [
        "",
        "The others        Phone  Answer     Why",
        "Reedy River       …0115  no answer",
        "Falls Park        …0126  busy",
        "Haywood           …0137  voicemail",
        "Blue Ridge again  …0100  skipped    duplicate of line 2",
        "Odd               -      skipped    providers.csv, line 7: 'none' is not a phone number; correct it.",
        "",
        "6 providers: 1 completed, 1 no answer, 1 busy, 1 voicemail, 2 skipped.",
        "M:SS in all, at most 3 calls at once, M:SS a conversation on average."
        " Simulated: no phone rang, nothing was spent.",
    ]
    assert re.fullmatch(  # how long windows would take is at the edge of being worth saying
        "One after the other, the same calls would have taken M:SS; in fixed windows of 3,"
        r" (?:about as long as this|M:SS)\.",
        lines[-1],
    )


def test_every_event_is_said_with_v(command: Any, providers: Any, vapi: Any) -> None:
    finished = command("batch", providers(BUSY), "-v")

    assert [line for line in finished.lines if "call.ringing" not in line] == [
        "1 provider will be called.",
        "From columns of the file: service from 'service'.",
        "They see …0100 (Simulated line) and hear the tool's own assistant; the calls are not recorded.",
        "The first is asked for plumbing, within 2 days.",
        "The calls go through this machine, as VAPI_BASE_URL says.",
        "In New York it is M:SS: 1 number.",
        "It takes 9 minutes at the longest, if every call lasts as long as it may.",
        "WHEN  run.started",
        "WHEN  call.dialing      Blue Ridge                      …0106",
        "WHEN  call.placed       Blue Ridge                      …0106  CALL",
        "WHEN  call.ended        Blue Ridge                      …0106  CALL  customer-busy",
        "WHEN  call.settled      Blue Ridge                      …0106  busy",
        "WHEN  run.ended",
        "",
        "The others  Phone  Answer",
        "Blue Ridge  …0106  busy",
        "",
        "1 provider: 1 busy.",
        "M:SS in all.",
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
        "WHEN  Faulty                          …0109  failed      M:SS  A service behind"
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

    assert [line[6:16].rstrip() for line in finished.lines[1 : len(names) + 1]] == [
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
