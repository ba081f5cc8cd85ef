"""examples/crontab: cron would take each of its lines, and each of them calls its file without a word."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.command.conftest import COMMAND, LONGEST
from tests.command.nightly import EXAMPLES

FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def jobs() -> list[tuple[list[str], str]]:
    """Return the job lines of the crontab, each as its five fields and its command."""
    lines = [line for line in (EXAMPLES / "crontab").read_text().splitlines() if line and not line.startswith("#")]
    parts = [line.split(maxsplit=5) for line in lines if not re.match(r"[A-Z_]+=", line)]
    return [(part[:5], part[5]) for part in parts]


def numbers(field: str, low: int, high: int) -> set[int]:
    """Return what a field of a crontab stands for; raises AssertionError for what cron would not take."""
    found: set[int] = set()
    for part in field.split(","):
        match = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", part)
        assert match, part
        first = int(match[1] or low)
        last = int(match[2] or match[1] or high)
        assert low <= first <= last <= high, part
        found |= set(range(first, last + 1, int(match[3] or 1)))
    return found


def test_the_crontab_names_who_is_mailed_and_where_the_command_is() -> None:
    text = (EXAMPLES / "crontab").read_text()

    assert re.findall(r"^([A-Z_]+)=", text, re.MULTILINE) == ["PATH", "MAILTO"]
    assert "concierge/.venv/bin:" in text


def test_each_line_of_the_crontab_rings_on_business_days_in_working_hours() -> None:
    assert len(jobs()) == 2
    for fields, line in jobs():
        minutes, hours, *_, days = [numbers(field, *limits) for field, limits in zip(fields, FIELDS, strict=True)]
        assert (len(minutes), len(hours)) == (1, 1)
        assert hours <= set(range(9, 12))
        assert days <= set(range(1, 6))
        assert "./nightly.sh" in line
        assert "%" not in line  # which cron would read as the end of the line


def test_each_line_of_the_crontab_calls_its_file_without_a_word(
    vapi: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "home" / "concierge")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{Path(COMMAND).parent}:{os.environ['PATH']}")
    for _, line in jobs():
        done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=LONGEST, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    assert list(vapi.rang.values()) == [1] * 20
