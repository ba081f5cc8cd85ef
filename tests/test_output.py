"""A place for the document: a file whole or not at all, a device straight, stdout in UTF-8."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import IO

import pytest

from concierge_calls.errors import OutputError
from concierge_calls.models import Format
from concierge_calls.output import Output, write_to_stdout


class Terminal:
    """Stands for a stdout that is a terminal."""

    def isatty(self) -> bool:
        return True


def hello(file: IO[str]) -> None:
    file.write("Café \u2603\n")


def broken(file: IO[str]) -> None:
    file.write("half")
    raise OSError(28, "No space left on device")


def test_a_file_is_written_whole_for_its_owner_alone() -> None:
    Output.chosen("doc.json", "providers.csv").write(hello)

    assert Path("doc.json").read_text("utf-8") == "Café \u2603\n"
    assert stat.S_IMODE(Path("doc.json").stat().st_mode) == 0o600
    assert os.listdir() == ["doc.json"]


def test_a_file_that_cannot_be_written_stays_as_it_was() -> None:
    Path("doc.json").write_text("before")
    with pytest.raises(OutputError, match=r"doc\.json cannot be written \(No space left on device\); choose another"):
        Output.chosen("doc.json", "providers.csv").write(broken)

    assert Path("doc.json").read_text() == "before"
    assert os.listdir() == ["doc.json"]


def test_a_bug_while_writing_leaves_no_half_a_file() -> None:
    with pytest.raises(ZeroDivisionError):
        Output.chosen("doc.json", "providers.csv").write(lambda file: file.write(str(1 // 0)))

    assert os.listdir() == []


def test_a_symlink_is_followed() -> None:
    os.mkdir("real")
    os.symlink("real/doc.json", "link.json")
    Output.chosen("link.json", "providers.csv").write(hello)

    assert os.path.islink("link.json")
    assert Path("real/doc.json").exists()


def test_checking_leaves_nothing_behind() -> None:
    Output.chosen("doc.json", "providers.csv").check()
    Output.chosen("/dev/null", "providers.csv").check()
    Output.chosen("-", "providers.csv").check()

    assert os.listdir() == []


@pytest.mark.parametrize(("target", "why"), [("missing/doc.json", "No such file"), (".", "Is a directory")])
def test_a_place_that_cannot_be_written_is_found_by_checking(target: str, why: str) -> None:
    with pytest.raises(OutputError, match=why):
        Output.chosen(target, "providers.csv").check()


def test_without_a_terminal_the_document_goes_to_stdout() -> None:
    output = Output.chosen(None, "providers.csv")

    assert (output.is_stdout, output.was_chosen_by_us, output.target) == (True, False, "-")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("lists/providers.csv", "providers"),
        ("-", "providers"),
        ("call", "call"),
        ("plumbers.2026.json", "plumbers.2026"),
    ],
)
def test_at_a_terminal_it_goes_to_a_new_file_named_for_the_providers(
    monkeypatch: pytest.MonkeyPatch, source: str, name: str
) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    output = Output.chosen(None, source)

    assert (output.is_stdout, output.was_chosen_by_us) == (False, True)
    assert output.target == os.path.abspath(f"{name}.results.json")


@pytest.mark.parametrize("format_", Format)
def test_the_new_files_name_ends_as_its_format_is_called(monkeypatch: pytest.MonkeyPatch, format_: Format) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    first = Output.chosen(None, "providers.csv", format_)
    first.write(hello)

    assert Path(first.target).name == f"providers.results.{format_.value}"
    assert Path(Output.chosen(None, "providers.csv", format_).target).name == f"providers.results-2.{format_.value}"


def test_a_place_that_was_chosen_keeps_its_name_whatever_the_format() -> None:
    assert Output.chosen("doc.txt", "providers.csv", Format.CSV).target == os.path.abspath("doc.txt")


def test_a_name_that_another_run_took_meanwhile_stays_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    first, second = (Output.chosen(None, "providers.csv") for _ in range(2))
    first.write(lambda file: file.write("first"))
    second.write(lambda file: file.write("second"))

    assert (Path(first.target).name, Path(second.target).name) == ("providers.results.json", "providers.results-2.json")
    assert (Path(first.target).read_text(), Path(second.target).read_text()) == ("first", "second")
    assert sorted(os.listdir()) == ["providers.results-2.json", "providers.results.json"]


def test_stdout_is_written_in_utf_8_whatever_the_locale(capfd: pytest.CaptureFixture[str]) -> None:
    write_to_stdout(hello)

    assert capfd.readouterr().out == "Café \u2603\n"


def test_a_stdout_that_is_closed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)

    with pytest.raises(OutputError, match="stdout is closed; choose a file with --output"):
        Output.chosen(None, "providers.csv").check()
