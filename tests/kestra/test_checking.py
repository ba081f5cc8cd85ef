"""What a worker tells of itself when it is checked, and how two of them find that they share a state folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from concierge_calls.kestra.checking import here, line

NAME = "00112233445566aa"
CHECKS = [{"name": "key", "state": "ok", "sentence": "Vapi knows the key."}]


def looked(folder: Path, name: str = NAME) -> object:
    return here({"CONCIERGE_CHECK": name}, folder, version="0.1.0", checks=CHECKS).get("marker")


def test_a_worker_tells_its_version_its_host_its_checks_and_that_it_was_the_first(tmp_path: Path) -> None:
    found = here({"CONCIERGE_CHECK": NAME}, tmp_path / "a" / "b", version="0.1.0", checks=CHECKS)

    assert found == {
        "version": "0.1.0",
        "host": os.uname().nodename,
        "folder": str(tmp_path / "a" / "b"),
        "marker": "made",
        "checks": CHECKS,
    }


def test_the_second_child_sees_the_first_ones_marker_and_takes_it_away(tmp_path: Path) -> None:
    folder = tmp_path / "state"

    assert [looked(folder), looked(folder)] == ["made", "seen"]
    assert list(folder.iterdir()) == []


def test_the_marker_of_another_check_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    assert [looked(tmp_path), looked(tmp_path, NAME[::-1])] == ["made", "made"]


def test_a_name_that_no_check_has_leads_to_no_other_file(tmp_path: Path) -> None:
    folder = tmp_path / "state"

    assert [looked(folder, "../../x"), looked(folder, "")] == ["made", "made"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state", "work"]
    assert {path.name[:13] for path in folder.iterdir()} == {"kestra-check-"}


def test_a_marker_that_was_left_behind_is_swept_after_a_day(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    for name in ("kestra-check-old", "journal.db"):
        (folder / name).touch()
        os.utime(folder / name, (0, 0))
    looked(folder)

    assert sorted(path.name for path in folder.iterdir()) == ["journal.db", f"kestra-check-{NAME}"]


def test_a_folder_that_cannot_be_written_is_told_and_the_rest_as_well(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = here({}, tmp_path / "file", version="0.1.0", checks=CHECKS)

    assert (found["fault"], found["checks"], "marker" in found) == ("File exists", CHECKS, False)


def test_kestra_is_told_on_one_line_in_ascii() -> None:
    told = line({"host": "h\u00f6st\n\u2028::{}::"})

    assert told.isascii()
    assert (told.count("\n"), told[:2], told[-3:]) == (1, "::", "::\n")
    assert json.loads(told[2:-3]) == {"outputs": {"check": {"host": "h\u00f6st\n\u2028::{}::"}}}
