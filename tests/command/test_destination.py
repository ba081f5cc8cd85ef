"""Where the document goes: stdout, a file whole or not at all, straight into a device, and never nowhere."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

BUSY = "Blue Ridge,(864) 555-0106,plumbing"


@pytest.fixture
def batch(providers: Any, vapi: Any) -> str:
    """The beginning of a line of bash that calls one provider whose line is busy."""
    return f'"$COMMAND" batch {providers(BUSY)} -q'


def busy(document: str) -> bool:
    return bool(json.loads(document)["stats"]["busy"] == 1)


def test_a_file_is_replaced_whole_and_is_nobody_elses_business(command: Any, batch: str) -> None:
    Path("doc.json").write_text("x" * 100_000)
    Path("doc.json").chmod(0o644)
    Path("link.json").symlink_to("doc.json")
    finished = command.shell(f"{batch} -o link.json")

    assert (finished.code, finished.out, finished.err) == (0, "", "")
    assert Path("link.json").is_symlink()
    assert busy(Path("doc.json").read_text())
    assert stat.S_IMODE(Path("doc.json").stat().st_mode) == 0o600
    assert sorted(os.listdir()) == ["doc.json", "link.json", "providers.csv"]


def test_the_closing_line_says_where_the_document_is(command: Any, providers: Any, vapi: Any) -> None:
    finished = command("batch", providers(BUSY), "-o", "doc.json")

    assert finished.err.endswith(f"The document is in {os.path.abspath('doc.json')}\n")


@pytest.mark.parametrize(
    ("line", "out"),
    [
        ("{batch} -o /dev/null", False),
        ("{batch} -o -", True),
        ("{batch} -o /dev/stdout | cat", True),
        ("{batch} -o >(cat >seen) && wait $! && cat seen", True),
        ("mkfifo pipe; cat pipe >seen & {batch} -o pipe; code=$?; wait; cat seen; exit $code", True),
    ],
)
def test_a_device_or_a_pipe_is_written_straight(command: Any, batch: str, line: str, out: bool) -> None:
    finished = command.shell(line.format(batch=batch))

    assert (finished.code, finished.err) == (0, "")
    assert busy(finished.out) if out else finished.out == ""


def test_a_reader_that_leaves_early_causes_no_traceback_and_no_other_exit_code(
    command: Any, providers: Any, vapi: Any
) -> None:
    file = providers(BUSY, "Odd,none,plumbing")
    first_line = command.shell(f'"$COMMAND" batch {file} -q 2>&1 | head -1; exit ${{PIPESTATUS[0]}}')
    nothing = command.shell(f'"$COMMAND" batch {file} | true; exit ${{PIPESTATUS[0]}}')

    assert (first_line.code, nothing.code, nothing.out) == (3, 3, "")
    assert nothing.lines[-1] == "2 providers: 2 skipped."


def test_stdout_that_is_closed_is_found_before_the_first_dial(command: Any, batch: str, vapi: Any) -> None:
    closed = command.shell(f"{batch} >&-")

    assert (closed.code, closed.said) == (2, "stdout is closed; choose a file with --output.")
    assert vapi.rang == {}

    with_file = command.shell(f"{batch} -o doc.json >&-")

    assert (with_file.code, with_file.err) == (0, "")
    assert busy(Path("doc.json").read_text())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux shows what another process has open")
def test_nothing_takes_the_place_of_a_closed_stdout(command: Any, providers: Any, vapi: Any) -> None:
    vapi.options.stuck = {"+18645550110": "in-progress"}
    without = ("/bin/bash", "-c", 'exec "$0" "$@" >&-')
    running = command.start("batch", providers("Reedy,(864) 555-0110,plumbing"), "-v", "-o", "doc.json", prefix=without)
    running.until("call.in_progress")
    stands_for_it = os.readlink(f"/proc/{running.process.pid}/fd/1")
    vapi.hang_up("+18645550110")

    assert (running.finish().code, stands_for_it) == (0, "/dev/null")


@pytest.mark.parametrize("line", ["{batch} >/dev/full", "{batch} -o /dev/full"])
def test_a_full_disk_is_3_and_says_how_to_have_the_document(command: Any, batch: str, line: str) -> None:
    finished = command.shell(line.format(batch=batch))

    assert finished.code == 3
    assert "cannot be written (No space left on device)" in finished.err
    run = finished.err.split("concierge-calls show ")[1].split()[0]
    assert busy(command("show", run).out)
    assert finished.out == "" or busy(finished.out)


def test_a_place_that_goes_away_during_the_run_sends_the_document_to_stdout_with_3(
    command: Any, providers: Any, vapi: Any
) -> None:
    Path("folder").mkdir()
    vapi.options.stuck = {"+18645550110": "in-progress"}
    running = command.start("batch", providers("Reedy,(864) 555-0110,plumbing"), "-v", "-o", "folder/doc.json")
    running.until("call.in_progress")
    Path("folder").rmdir()
    vapi.hang_up("+18645550110")
    finished = running.finish()

    assert finished.code == 3
    assert finished.document["stats"]["successful"] == 1
    assert (
        f"{os.path.abspath('folder/doc.json')} cannot be written (No such file or directory); choose another place with"
        " --output. The document goes to stdout instead, and can be had again: concierge-calls show RUN -o FILE"
    ) in finished.lines


def test_resume_writes_where_the_run_was_told_to(command: Any, providers: Any, vapi: Any) -> None:
    vapi.options.stuck = {"+18645550110": "in-progress"}
    running = command.start("batch", providers("Reedy,(864) 555-0110,plumbing", BUSY), "-v", "-o", "doc.json")
    running.until("call.in_progress")
    running.interrupt()
    running.until("Stopping")
    running.interrupt()
    assert running.finish().code == 5
    vapi.hang_up("+18645550110")
    os.mkdir("elsewhere")
    resumed = command("resume", "-q", cwd="elsewhere")

    assert (resumed.code, resumed.out) == (0, "")
    assert json.loads(Path("doc.json").read_text())["stats"]["successful"] == 1


def test_a_list_that_cannot_be_written_is_2(command: Any) -> None:
    full = command.shell('"$COMMAND" runs --json >/dev/full')

    assert full.code == 2
    assert full.said == "stdout cannot be written (No space left on device); choose a file with --output."
