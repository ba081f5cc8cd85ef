"""examples/providers.json, library.py and jq.md: each does what it says, as it stands."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.models import SKIPPED_ON_PURPOSE
from tests.command.conftest import COMMAND, LONGEST
from tests.command.nightly import EXAMPLES

AVAILABLE = """\
Blue Ridge Plumbing Co.: tomorrow at 9 AM, $110 an hour plus parts
Reedy River Plumbers: today, within two hours, $180 all in
"""
ENDED = [
    "1. Blue Ridge Plumbing Co.: completed",
    "2. Reedy River Plumbers: completed",
    "3. Augusta Road Plumbing & Heating: no_answer",
    "4. Haywood Rooter: busy",
]
# What the file lacks, so that every question of jq.md has an answer.
MORE = (
    {"displayName": {"text": "Faulty Movers"}, "nationalPhoneNumber": "614-555-0189"},
    {"displayName": {"text": "Nobody's Movers"}, "nationalPhoneNumber": "none"},
    {"displayName": {"text": "Buckeye again"}, "nationalPhoneNumber": "614-555-0110"},
    {
        "displayName": {"text": 'The "=" Movers'},
        "nationalPhoneNumber": "614-555-0151",
        "postalAddress": {"locality": "=1+1"},
    },
)


@pytest.mark.parametrize("example", ["nightly.sh", "jq.md"])
def test_an_example_knows_each_reason_for_which_a_row_is_skipped_on_purpose(example: str) -> None:
    text = (EXAMPLES / example).read_text()
    found = re.search(r"\[([^]]*)\] as \$on_purpose", text)

    assert found is not None
    assert set(json.loads(f"[{found[1]}]")) == SKIPPED_ON_PURPOSE


def library(*arguments: str) -> tuple[int, str, list[str]]:
    """Run library.py, and return its exit code, its stdout, and the lines of its stderr in order of their numbers."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "library.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    return done.returncode, done.stdout, sorted(done.stderr.splitlines())


def test_the_movers_are_ten_who_can_all_be_called(command: Any) -> None:
    finished = command("batch", str(EXAMPLES / "providers.json"), "--service", "moving", "--dry-run")

    assert finished.code == 0
    assert finished.lines[-1] == "10 providers: 10 would be called, 0 not."
    numbers = [result["provider"]["phone"] for result in finished.document["results"]]
    assert all(re.fullmatch(r"\+161455501\d\d", number) for number in numbers)
    assert {number[-1] for number in numbers} == set("01234567")  # every ending that is no failure


def test_the_library_runs_on_the_simulator_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAPI_POLL_INTERVAL", "0.05")

    assert library("--simulate") == (0, AVAILABLE, ENDED)


def test_the_library_calls_for_real_without_simulate(vapi: Any) -> None:
    assert library() == (0, AVAILABLE, ENDED)
    assert list(vapi.rang.values()) == [1] * 4


def test_the_library_says_errors_in_a_sentence(vapi: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAPI_API_KEY")
    code, out, lines = library()

    assert (code, out, len(lines)) == (2, "", 1)
    assert lines[0].startswith("VAPI_API_KEY is not set")


def test_the_library_tells_of_calls_that_were_not_placed(vapi: Any) -> None:
    vapi.options.refuse = "credits"
    code, out, lines = library()

    assert (code, out) == (5, "Nobody is available.\n")
    assert lines[0].startswith("1. Blue Ridge Plumbing Co.: ")
    assert re.fullmatch(r"Not everybody was called; to finish it: concierge-calls resume \S+", lines[-1])
    assert vapi.rang == {}


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with answers.json, the document of one simulated run."""
    folder = tmp_path_factory.mktemp("answers")
    export = json.loads((EXAMPLES / "providers.json").read_text())
    export["places"] += MORE
    (folder / "providers.json").write_text(json.dumps(export))
    environ = {"CONCIERGE_STATE_DIR": str(folder / "state"), "HOME": str(folder), "VAPI_POLL_INTERVAL": "0.05"}
    subprocess.run(
        [COMMAND, "batch", "providers.json", "--service", "moving", "--simulate", "-q", "-o", "answers.json"],
        cwd=folder,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LONGEST,
        check=False,
    )
    return folder


def said(result: Any, name: str) -> Any:
    """Return one thing that was said in a call."""
    return result["analysis"]["structuredData"].get(name)


def when(document: Any) -> list[str]:
    names = ("earliest_availability", "technician_name", "estimated_rate")
    free = [result for result in document["results"] if said(result, "availability") == "available"]
    return ["\t".join([result["provider"]["name"], *(said(result, name) for name in names)]) for result in free]


def rates(document: Any) -> list[str]:
    named = [(said(result, "estimated_rate"), result["provider"]["name"]) for result in document["results"]]
    priced = [(rate, name) for rate, name in named if rate]
    ordered = sorted(priced, key=lambda each: float(re.findall(r"\d+", each[0])[0]))
    return [f"{rate}  {name}" for rate, name in ordered]


def looked_at(document: Any) -> list[str]:
    bad = ("error", "timeout", "uncertain", "cancelled")
    return [
        f"{result['provider']['name']}: {result['status']}, {result['error']['message']}"
        for result in document["results"]
        if result["status"] in bad
        or (result["status"] == "skipped" and result["error"]["code"] not in SKIPPED_ON_PURPOSE)
    ]


def never_again(document: Any) -> list[str]:
    asked = [result["provider"] for result in document["results"] if said(result, "do_not_call")]
    return [f"{provider['phone']}\t{provider['name']}" for provider in asked]


def hundredths(number: float) -> str:
    return f"{math.floor(number * 100 + 0.5) / 100:.2f}"


def bill(document: Any) -> list[str]:
    stats = document["stats"]
    minutes = hundredths(sum(result["duration"] for result in document["results"]) / 60)
    total = f"${hundredths(stats['cost'])} in all, {minutes} minutes, {stats['successful']} conversations"
    return [total, f"${hundredths(stats['cost'] / stats['successful'])} a conversation"]


def by_city(document: Any) -> list[str]:
    cities: dict[str, list[Any]] = defaultdict(list)
    for result in document["results"]:
        cities[result["provider"]["extra"].get("postalAddress", {}).get("locality", "")].append(result)
    lines = ['"city","listed","available"']
    for city, results in sorted(cities.items()):
        free = sum(said(result, "availability") == "available" for result in results)
        lines.append(f'"{city.replace("=", chr(39) + "=", 1)}",{len(results)},{free}')
    return lines


QUESTIONS: dict[str, Callable[[Any], list[str]]] = {
    "Who is available, and when?": when,
    "Who names the lowest rate?": rates,
    "Who needs a person's look?": looked_at,
    "Whom must nobody call again?": never_again,
    "What did it cost?": bill,
    "In which city are the available ones?": by_city,
}
BLOCKS = dict(re.findall(r"^## (.*?)\n.*?```sh\n(.*?)```", (EXAMPLES / "jq.md").read_text(), re.DOTALL | re.MULTILINE))


def test_every_block_of_the_jq_page_has_its_question() -> None:
    assert list(BLOCKS) == list(QUESTIONS)
    assert (EXAMPLES / "jq.md").read_text().count("```") == 2 * len(BLOCKS)


@pytest.mark.skipif(shutil.which("jq") is None, reason="there is no jq here")
@pytest.mark.parametrize("question", QUESTIONS)
def test_jq_answers_a_question_as_python_does(answers: Path, question: str) -> None:
    document = json.loads((answers / "answers.json").read_text())
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", BLOCKS[question]],
        cwd=answers,
        capture_output=True,
        text=True,
        check=False,
    )
    expected = QUESTIONS[question](document)

    assert expected
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, expected, "")
