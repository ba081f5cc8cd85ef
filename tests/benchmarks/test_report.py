"""What benchmarks share: figures are printed, kept and held to their limits, and computed from what a server saw."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.batches import Measured, greedy, windows
from tests.benchmarks.measured import AtMost, Used, above_zero, at_least, parser, report
from tests.benchmarks.minute import Load, figures
from tests.benchmarks.providers import listed, number, numbers

FIGURES = {"CPU ms": 1234.5678, "against a peer": AtMost(1.75, 1.6), "requests": {"GET /call": 1200, "POST /call": 2}}


def seen(*calls: tuple[float, float], **more: Any) -> Measured:
    """A run whose calls began and ended so."""
    told = [{"number": "", "begun": begun, "ended": ended} for begun, ended in calls]
    return Measured(Used(0.0, 0.0, 0.0, 0.0), {"calls": told, **more})


def test_a_figure_over_its_limit_is_said_in_one_line_after_all_figures_and_ends_with_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        report("One against another", "3 calls", FIGURES, None)
    assert ended.value.code == 1
    assert capsys.readouterr().out.splitlines() == [
        "One against another",
        "  3 calls",
        "  CPU ms          1,234.568",
        "  against a peer  1.750 (limit 1.6)",
        "  requests        GET /call 1,200, POST /call 2",
        "Over the limit: against a peer: 1.750 (limit 1.6). "
        "The limits are for the command without options, on a quiet machine.",
    ]


def test_a_figure_that_is_exactly_its_limit_keeps_it(capsys: pytest.CaptureFixture[str]) -> None:
    report("One against another", "3 calls", {"requests a minute": AtMost(150, 150)}, None)
    assert capsys.readouterr().out.splitlines()[2:] == ["  requests a minute  150 (limit 150)"]


def test_settings_figures_ratios_and_limits_are_kept_in_the_file_even_when_one_is_over(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        report("One against another", "3 calls", FIGURES, tmp_path / "kept.json")
    assert json.loads((tmp_path / "kept.json").read_text()) == {
        "compared": "One against another",
        "settings": "3 calls",
        "figures": FIGURES | {"against a peer": 1.75},
        "limits": {"against a peer": 1.6},
        "over": ["against a peer"],
    }


@pytest.mark.parametrize("text", ["0", "-1", "2.5", "many"])
def test_a_count_below_the_least_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a whole number of 1 or more"):
        at_least(1)(text)


@pytest.mark.parametrize("text", ["0", "-0.1", "nan", "inf", "soon"])
def test_seconds_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a number above 0"):
        above_zero(text)


def test_a_file_in_a_folder_that_is_missing_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser("What is measured.").parse_args(["--json", str(tmp_path / "missing" / "kept.json")])
    assert ended.value.code == 2
    assert f"there is no folder {tmp_path / 'missing'}; make it first" in capsys.readouterr().err


def test_the_help_is_the_docstring_as_it_stands() -> None:
    described = "What is measured.\n\nRun by hand: python -m tests.benchmarks.it\n"
    assert described in parser(described).format_help()


def test_greedy_and_windows_are_what_the_calls_take_in_their_order() -> None:
    lengths = [4.0, 1.0, 1.0, 3.0]
    assert (greedy(lengths, 2), windows(lengths, 2)) == (5.0, 7.5)


def test_a_line_is_idle_from_an_end_to_the_dial_that_takes_it() -> None:
    assert seen((0, 4), (0, 1), (1.5, 2), (2.25, 3)).idle(2) == [0.5, 0.25]


def test_a_minute_tells_how_many_were_on_the_line_and_what_each_dial_lost() -> None:
    run = seen((0, 10), (1, 3), (3.5, 9), minutes=[7, 12], requests={"POST /call": 3})
    assert figures([Load(2, 3, 2, 10)], [run]) == {
        "2 lines: on the line at most": 2,
        "2 lines: most requests a minute": AtMost(12, 150),
        "2 lines: lost before a dial, mean s": AtMost(0.25, 0.52),
        "2 lines: lost before a dial, longest s": 0.5,
        "2 lines: requests": {"POST /call": 3},
    }


def test_a_providers_file_has_fictional_numbers_and_the_further_columns(tmp_path: Path) -> None:
    file = listed(tmp_path / "providers.csv", numbers(2), city=["Greenville", "Greer"])
    assert file.read_text().splitlines() == [
        "name,phone,service,city",
        "Provider 0,+12015550100,plumbing,Greenville",
        "Provider 1,+12015550101,plumbing,Greer",
    ]
    assert (number(100), number(199)) == ("+12025550100", "+12025550199")


def test_more_calls_than_there_are_fictional_numbers_are_refused() -> None:
    with pytest.raises(SystemExit, match=r"^There are 79,100 fictional numbers; ask for fewer calls\.$"):
        number(79_100)
