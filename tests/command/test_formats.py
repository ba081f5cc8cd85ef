"""The document as JSON lines or as a table, and a run's document once more."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

BUSY = "Blue Ridge,(864) 555-0106,plumbing"
ODD = "=1+1,none,plumbing"


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_jsonl_has_one_result_a_line_in_the_files_order(command: Any, providers: Any, vapi: Any) -> None:
    finished = command("batch", providers(BUSY, ODD), "--format", "jsonl")
    results = [json.loads(line) for line in finished.out.splitlines()]

    assert finished.code == 3
    assert [(result["index"], result["status"]) for result in results] == [(0, "busy"), (1, "skipped")]
    assert results == command("show", RUN(command), "--format", "json").document["results"]


def RUN(command: Any) -> str:  # noqa: N802  what stands for it in a command line
    return str(json.loads(command("runs", "--json").out)[0]["run"]["id"])


def test_csv_is_a_table_that_no_spreadsheet_takes_for_formulas(command: Any, providers: Any, vapi: Any) -> None:
    finished = command("batch", providers(BUSY, ODD, header="name,phone,service"), "--format", "csv", "-o", "out.csv")
    busy, odd = table(Path("out.csv").read_text())

    assert (finished.code, finished.out) == (3, "")
    assert (busy["name"], busy["phone"], busy["status"], busy["endedReason"]) == (
        "Blue Ridge",
        "+18645550106",
        "busy",
        "customer-busy",
    )
    assert (odd["name"], odd["phone"], odd["status"]) == ("'=1+1", "", "skipped")


def test_show_writes_it_as_the_run_was_told_or_as_it_is_asked_for(command: Any, providers: Any, vapi: Any) -> None:
    finished = command("batch", providers(BUSY), "--format", "csv")
    shown = command("show", RUN(command))

    assert shown.out == finished.out
    assert shown.err == ""
    assert command("show", RUN(command), "--format", "json").document["stats"]["busy"] == 1
    assert command("show", RUN(command), "--format", "json", "-o", "once-more.json").out == ""
    assert json.loads(Path("once-more.json").read_text())["stats"]["busy"] == 1


def test_show_writes_a_page_to_keep(command: Any, providers: Any, vapi: Any) -> None:
    command("batch", providers(BUSY))
    shown = command("show", RUN(command), "--format", "html")
    kept = command("show", RUN(command), "--format", "html", "-o", "page.html")

    assert (shown.code, shown.err, kept.out) == (0, "", "")
    assert shown.out == Path("page.html").read_text()
    assert shown.out.startswith("<!doctype html>")
    assert "Blue Ridge" in shown.out
    assert shown.out.count("<rect") == 1
    assert command("batch", providers(BUSY), "--format", "html").code == 2


def test_resume_writes_the_format_that_the_run_was_told(command: Any, providers: Any, vapi: Any) -> None:
    vapi.options.refuse = "credits"
    stopped = command("batch", providers(BUSY), "--format", "jsonl", "-o", "out.jsonl")
    first = [json.loads(line)["status"] for line in Path("out.jsonl").read_text().splitlines()]
    vapi.options.refuse = None
    resumed = command("resume")

    assert (stopped.code, first, resumed.code) == (4, ["not_called"], 0)
    assert [json.loads(line)["status"] for line in Path("out.jsonl").read_text().splitlines()] == ["busy"]


def test_a_file_whose_name_promises_another_format_is_pointed_out(command: Any, providers: Any, vapi: Any) -> None:
    finished = command("batch", providers(BUSY), "-o", "answers.csv")

    assert "answers.csv will hold json, not csv; say --format csv if you want that." in finished.lines
    assert json.loads(Path("answers.csv").read_text())["stats"]["busy"] == 1


def test_the_document_of_an_unfinished_run_shows_its_live_part(command: Any, providers: Any, vapi: Any) -> None:
    vapi.options.stuck = {"+18645550100": "in-progress"}
    rows = ("Talks,(864) 555-0100,plumbing", "Waits,(864) 555-0115,plumbing")
    running = command.start("batch", providers(*rows), "-v", "--max-concurrent", "1")
    running.until("call.in_progress")
    listed = command("runs").out
    shown = command("show", RUN(command)).document

    assert shown["run"]["finished"] is False
    assert [result["status"] for result in shown["results"]] == ["in_progress", "pending"]
    assert shown["results"][0]["callId"] == vapi.ledger["numbers"]["+18645550100"]["calls"][0]["id"]
    assert listed.split()[-2:] == ["0/2", "running"]
    vapi.hang_up("+18645550100")
    assert running.finish().code == 0
    assert command("runs").out.split()[-2:] == ["2/2", "finished"]
