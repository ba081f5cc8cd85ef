"""A run whose process died before its document was written has it written by a resume, and leaves nothing beside it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.output import Output

BUSY = "Blue Ridge,(864) 555-0106,plumbing"
RANG = {"+18645550106": 1}


@pytest.fixture
def unwritten(command: Any, providers: Any, vapi: Any) -> str:
    """A finished run that was killed while it waited for somebody to read its document; returns its id."""
    os.mkfifo("doc.json")
    running = command.start("batch", providers(BUSY), "-v", "-o", "doc.json")
    running.until("run.ended")
    running.interrupt(signal.SIGKILL)
    running.finish()
    os.unlink("doc.json")
    [line] = command("runs").out.splitlines()
    assert line.endswith("finished")
    return str(line.split()[0])


@pytest.mark.parametrize("named", [True, False], ids=["named", "bare"])
def test_a_document_that_was_never_written_is_written_by_resume(
    command: Any, vapi: Any, unwritten: str, named: bool
) -> None:
    asked = vapi.asked
    resumed = command("resume", *([unwritten] if named else []))

    assert (resumed.code, resumed.out) == (0, "")
    assert resumed.lines[0] == "Run RUN of providers.csv is finished; its document was never written, and is now."
    assert json.loads(Path("doc.json").read_text()) == command("show", unwritten).document
    assert (vapi.rang, vapi.asked) == (RANG, asked)

    again = command("resume", unwritten)

    assert (again.code, again.lines) == (0, ["There is nothing to finish."])


def test_a_later_runs_document_is_not_replaced_by_an_earlier_ones_unless_that_is_named(
    command: Any, vapi: Any, unwritten: str
) -> None:
    assert command("batch", "providers.csv", "--allow-redial", "-o", "doc.json").code == 0
    later = json.loads(Path("doc.json").read_text())
    bare = command("resume")

    assert (bare.code, bare.lines) == (
        0,
        [
            "There is nothing to finish.",
            "The document of run RUN was never written; to have it written: concierge-calls resume RUN",
        ],
    )
    assert unwritten in bare.err
    assert f"The document of run {unwritten} was never written" in command("doctor", "--json").out
    assert json.loads(Path("doc.json").read_text()) == later

    assert command("resume", unwritten).code == 0
    assert json.loads(Path("doc.json").read_text())["run"]["id"] == unwritten


def test_a_document_that_could_not_be_written_where_it_was_to_go_is_still_owed(
    command: Any, providers: Any, vapi: Any
) -> None:
    Path("folder").mkdir()
    vapi.options.stuck = {"+18645550110": "in-progress"}
    running = command.start("batch", providers("Reedy,(864) 555-0110,plumbing"), "-v", "-o", "folder/doc.json")
    running.until("call.in_progress")
    Path("folder").rmdir()
    vapi.hang_up("+18645550110")
    lost = running.finish()
    Path("folder").mkdir()
    resumed = command("resume")

    assert (lost.code, resumed.code) == (3, 0)
    assert json.loads(Path("folder/doc.json").read_text()) == lost.document


def test_what_a_killed_process_left_of_this_document_is_swept_and_nothing_else() -> None:
    left, held = Path(".doc.json.abcd1234.unfinished"), Path(".doc.json.efgh5678.unfinished")
    others = [Path(name) for name in (".doc.json.abcd1234", ".doc.jsonl.abcd1234.unfinished", "doc.json.unfinished")]
    for path in (left, held, *others):
        path.touch()
    with held.open("r+") as living:
        fcntl.flock(living, fcntl.LOCK_EX)
        Output.chosen("doc.json", "providers.csv").write(lambda file: file.write("whole"))

    assert sorted(os.listdir()) == sorted(["doc.json", str(held), *map(str, others)])
    assert Path("doc.json").read_text() == "whole"
