"""Runs whose journal breaks, or whose process is killed: what is known comes out, and nobody is rung twice."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path
from typing import Any

import pytest

FIRST = "+18645550100"
ROWS = ("Blue Ridge,(864) 555-0100,plumbing", "Reedy River,(864) 555-0115,plumbing", "Haywood,864-555-0126,plumbing")
LONG = ("Talker,(864) 555-0108,plumbing", "Falls Park,(864) 555-0126,plumbing")  # the first ends by its limit alone
ONCE = {"+18645550100": 1, "+18645550115": 1, "+18645550126": 1}


def statuses(document: Any) -> list[str]:
    return [result["status"] for result in document["results"]]


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits the files of a process that runs")
@pytest.mark.parametrize("target", ["-", "out.json"])
def test_a_journal_that_cannot_grow_any_more_ends_the_run_with_its_document_and_5(
    command: Any, providers: Any, vapi: Any, tmp_path: Path, target: str
) -> None:
    vapi.options.stuck = {FIRST: "in-progress"}
    running = command.start("batch", providers(*ROWS), "-v", "--max-concurrent", "1", "-o", target)
    running.until("call.in_progress")
    size = (tmp_path / "state" / "journal.db").stat().st_size
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (size, size))
    vapi.hang_up(FIRST)
    ended = running.finish()

    document = ended.document if target == "-" else json.loads((tmp_path / "work" / target).read_text())
    assert ended.code == 5
    assert (document["run"]["finished"], statuses(document)) == (False, ["in_progress", "pending", "pending"])
    assert document["results"][0]["callId"] == vapi.ledger["numbers"][FIRST]["calls"][0]["id"]
    [said] = [line for line in ended.lines if "journal.db" in line]
    assert said.endswith("The run stops here; the calls on the line go on.")
    assert "concierge-calls resume RUN" in ended.err.replace(document["run"]["id"], "RUN")

    resumed = command("resume", "-o", "-")

    assert (resumed.code, resumed.document["run"]["finished"]) == (0, True)
    assert statuses(resumed.document)[1:] == ["no_answer", "busy"]
    assert resumed.document["run"]["id"] == document["run"]["id"]
    assert vapi.rang == ONCE


def test_a_simulated_run_that_was_killed_keeps_no_number_from_the_next_one(command: Any, providers: Any) -> None:
    rows = providers(*LONG)
    running = command.start("batch", rows, "-v", "--simulate")
    running.until("call.placed")
    running.interrupt(signal.SIGKILL)
    assert running.finish().code == -signal.SIGKILL

    again = command("batch", rows, "--simulate", "--call-timeout", "10")

    assert (again.code, statuses(again.document)) == (3, ["timeout", "busy"])


def test_two_simulated_runs_of_one_file_at_once_both_call_everybody(command: Any, providers: Any) -> None:
    rows = providers(*LONG)
    first = command.start("batch", rows, "-v", "--simulate", "--call-timeout", "60")
    first.until("call.placed")
    second = command("batch", rows, "--simulate", "--call-timeout", "10")

    for finished in (second, first.finish()):
        assert (finished.code, statuses(finished.document)) == (3, ["timeout", "busy"])
