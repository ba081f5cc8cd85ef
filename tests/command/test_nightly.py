"""examples/nightly.sh: what is mailed for each exit code of a run, and that nobody is rung twice by it."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command.conftest import LONGEST
from tests.command.nightly import EXAMPLES, NIGHTLY, Nightly

FIRST = "+18645550110"
ROWS = ("Reedy River,(864) 555-0110,plumbing", "Blue Ridge,(864) 555-0106,plumbing", "Falls Park,864-555-0125,plumbing")
ONCE = {FIRST: 1, "+18645550106": 1, "+18645550125": 1}
RUN = "20260302-abcdefgh"

BUG = """\
A bug ended the run. Please report it with the lines below.
Whom it had called is in the journal, see: COMMAND runs. This calls the rest:
cd FOLDER && COMMAND resume RUN

Traceback
"""
NOBODY = """\
Nobody was called: something is wrong with the command, the settings or a file, or Vapi is out of reach.
Mend what is said below, then start this job again, or leave it to its next time.

concierge-calls: nobody.csv is not there; check the path.
"""
LOOK = """\
Everybody was called, but the providers below need a look: a call that failed, ran into its time limit or
was cut off, a phone that may have rung unheard (uncertain), or a row that could not be used (skipped).
Read the document, correct such rows in providers.csv, and call by hand whom you still need.
The document: FOLDER/results/WHEN.json

"""
REFUSED = """\
Vapi refused the account, the key, the number, the assistant or the request; the rest was not called.
"""
UNFINISHED = """\
The run is unfinished{why}. Calls on the line go on by themselves.
This finishes it, and calls nobody again:
cd FOLDER && COMMAND resume RUN
"""
NOT_OURS = """\
concierge-calls ended with {code}, none of its exit codes: 127 means that COMMAND was not found
(set PATH or CONCIERGE in the crontab), above 128 that it was killed. If COMMAND runs names a run
that it left unfinished, this finishes it, and calls nobody again:
cd FOLDER && COMMAND resume RUN
"""
STILL = """\
Nobody was called by this job: an earlier one that writes into FOLDER/results is still going on.
Wait for it, or look what holds it up: COMMAND runs
"""


@pytest.fixture
def nightly(clean_environment: Path, tmp_path: Path) -> Iterator[Nightly]:
    """The job, with the real command until a test stands something in for it."""
    nightly = Nightly(clean_environment, tmp_path)
    yield nightly
    nightly.close()


@pytest.fixture
def bare(tmp_path: Path) -> str:
    """A PATH with what nightly.sh cannot do without: neither jq nor flock, as on many a Mac."""
    folder = tmp_path / "bare"
    folder.mkdir()
    for name in ("bash", "sh", "sed", "date", "mktemp", "mkdir", "rm", "cat", "perl"):
        if (found := shutil.which(name)) is None:
            pytest.skip(f"there is no {name} here")
        (folder / name).symlink_to(found)
    return str(folder)


@pytest.fixture
def talking(nightly: Nightly, providers: Any, vapi: Any) -> subprocess.Popen[str]:
    """A job whose first call is on the line and stays there."""
    providers(*ROWS)
    vapi.options.stuck = {FIRST: "in-progress"}
    job = nightly.start("--max-concurrent", "1")
    vapi.wait_for(FIRST)
    return job


def unfinished(*, simulated: bool = False) -> str:
    """Return a command's script that leaves the document of an unfinished run, and what it is to do if resumed."""
    run = json.dumps({"id": RUN, "simulated": simulated})
    return (
        f"[ $1 = resume ] && echo 'resumed' >&2 && exit $RESUMED\necho 'cut short' >&2\n"
        f'while [ "$1" != --output ]; do shift; done\nprintf \'{{\\n"run": %s}}\\n\' {shlex.quote(run)} >"$2"\nexit 5'
    )


def test_the_example_is_called_without_a_word_and_its_document_is_kept_for_its_owner_alone(
    nightly: Nightly, vapi: Any
) -> None:
    files = {"PROVIDERS": str(EXAMPLES / "providers.csv"), "REQUEST": str(EXAMPLES / "request.toml")}

    assert nightly(**files) == (0, "")
    assert list(vapi.rang.values()) == [1] * 10
    assert nightly.document["run"]["finished"] is True
    assert {result["request"]["clientName"] for result in nightly.document["results"]} == {"Dana Whitfield"}
    [path] = nightly.results.glob("*.json")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d{6}\.json", path.name)
    assert (path.stat().st_mode & 0o777, nightly.results.stat().st_mode & 0o777) == (0o600, 0o700)


def test_it_can_be_tried_out_without_a_key_and_in_folders_with_blanks(nightly: Nightly, providers: Any) -> None:
    file = providers(ROWS[1], name="two words.csv")

    assert nightly("--simulate", PROVIDERS=file, RESULTS="results/of this year") == (0, "")
    [path] = (nightly.results / "of this year").glob("*.json")
    assert json.loads(path.read_text())["run"]["source"] == "two words.csv"


def test_a_bug_is_mailed_with_what_the_command_said(nightly: Nightly) -> None:
    nightly.stand_in("echo Traceback >&2\nexit 1")

    assert nightly() == (1, BUG)


def test_a_file_that_is_not_there_is_mailed_as_nobody_called(nightly: Nightly, vapi: Any) -> None:
    assert nightly(PROVIDERS="nobody.csv") == (2, NOBODY)
    assert vapi.rang == {}


@pytest.mark.skipif(shutil.which("jq") is None, reason="the list is made by jq")
def test_who_needs_a_look_is_listed_without_whole_numbers_or_control_characters(
    nightly: Nightly, providers: Any, vapi: Any
) -> None:
    providers(
        *ROWS[1:], "Odd \x1b[31m 864-555-0199,none,", "Twin,864 555 0106,", "Slow,864-555-0108,", name="providers.csv"
    )
    code, mail = nightly("--service", "plumbing", "--call-timeout", "60")

    assert code == 3
    assert mail.startswith(LOOK)
    assert mail.removeprefix(LOOK).splitlines() == [
        "- Odd  [31m (number), skipped: providers.csv, line 4: 'none' is not a phone number; correct it.",
        f"- Slow (...0108), timeout: {nightly.document['results'][4]['error']['message']}",
    ]
    assert vapi.rang == {"+18645550106": 1, "+18645550125": 1, "+18645550108": 1}


def test_without_jq_the_commands_own_lines_tell_who_needs_a_look(
    nightly: Nightly, providers: Any, vapi: Any, bare: str
) -> None:
    providers(ROWS[1], "Odd,none,plumbing")
    code, mail = nightly(PATH=bare)

    assert code == 3
    assert mail.startswith(LOOK)
    assert re.fullmatch(
        r"[\d: -]{19}  Odd +-  skipped +providers.csv, line 3: 'none' is not a phone number; correct it\.\n",
        mail.removeprefix(LOOK),
    )


def test_a_refusal_before_the_first_dial_is_mailed_as_nothing_to_resume(
    nightly: Nightly, providers: Any, vapi: Any
) -> None:
    providers(*ROWS)
    vapi.options.refuse = "key"
    code, mail = nightly()

    told = "Nobody was called, and there is no run to resume: mend what is said below, then start this job again.\n\n"
    assert code == 4
    assert mail.startswith(REFUSED + told + "concierge-calls: ")
    assert "VAPI_API_KEY" in mail.removeprefix(REFUSED + told)
    assert (vapi.rang, len(nightly.called)) == ({}, 1)


def test_a_refusal_in_the_middle_is_mailed_and_resumed_by_hand_once_it_is_mended(
    nightly: Nightly, talking: subprocess.Popen[str], command: Any, vapi: Any
) -> None:
    vapi.options.refuse = "credits"
    vapi.hang_up(FIRST)
    code, mail = nightly.finish(talking)

    told = (
        "Mend what is said below first: until then, resuming is refused as well. Then this calls the rest:\n"
        "cd FOLDER && COMMAND resume RUN\nThe document: FOLDER/results/WHEN.json\n\n"
    )
    assert code == 4
    assert mail.startswith(REFUSED + told)
    assert "\nStopped: " in mail
    assert len(nightly.called) == 1

    vapi.options.refuse = None
    assert command("resume", nightly.document["run"]["id"]).code == 0
    assert nightly.document["run"]["finished"] is True
    assert vapi.rang == ONCE


def test_a_run_that_was_cut_short_is_resumed_without_a_word(
    nightly: Nightly, talking: subprocess.Popen[str], vapi: Any
) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):  # two of one kind may be taken for one
        os.kill(nightly.process, number)
    vapi.hang_up(FIRST)

    assert nightly.finish(talking) == (0, "")
    assert nightly.called == ["batch providers.csv --max-concurrent 1 --quiet", "resume RUN --quiet"]
    assert nightly.document["run"]["finished"] is True
    assert [result["status"] for result in nightly.document["results"]][1:] == ["busy", "no_answer"]
    assert vapi.rang == ONCE


def test_a_job_that_was_itself_told_to_stop_does_not_resume_but_says_how(
    nightly: Nightly, talking: subprocess.Popen[str], command: Any, vapi: Any
) -> None:
    os.killpg(talking.pid, signal.SIGINT)
    vapi.hang_up(FIRST)
    code, mail = nightly.finish(talking)

    assert code == 5
    told = UNFINISHED.format(why=", since it was told to stop") + "The document: FOLDER/results/WHEN.json\n\nStopping: "
    assert mail.startswith(told)
    assert len(nightly.called) == 1

    assert command("resume", nightly.document["run"]["id"]).code == 0
    assert vapi.rang == ONCE


def test_a_command_that_was_killed_is_mailed_and_not_resumed(
    nightly: Nightly, talking: subprocess.Popen[str], command: Any, vapi: Any
) -> None:
    os.kill(nightly.process, signal.SIGKILL)
    vapi.hang_up(FIRST)
    code, mail = nightly.finish(talking)

    assert (code, len(nightly.called)) == (137, 1)
    killed, told = mail.split("\n", 1)  # bash itself says so first
    assert re.fullmatch(rf"{NIGHTLY}: line \d+: +\d+ Killed\b.*", killed)
    assert told == NOT_OURS.format(code=137) + "\n"
    assert command("resume").code == 0
    assert vapi.rang == ONCE


@pytest.mark.parametrize(("resumed", "code"), [(1, 1), (2, 5), (3, 3), (4, 4), (5, 5)])
def test_what_resuming_does_not_finish_is_mailed_with_all_that_was_said(
    nightly: Nightly, resumed: int, code: int
) -> None:
    nightly.stand_in(unfinished())
    ended, mail = nightly(RESUMED=str(resumed))

    assert ended == code
    assert nightly.called == ["batch providers.csv --quiet", "resume RUN --quiet"]
    assert mail.endswith("The document: FOLDER/results/WHEN.json\n\ncut short\nresumed\n")
    if code == 5:
        assert mail.startswith(UNFINISHED.format(why=", and resuming it once did not finish it") + "The document: ")


def test_a_simulated_run_that_was_cut_short_is_not_resumed(nightly: Nightly) -> None:
    nightly.stand_in(unfinished(simulated=True))

    assert nightly("--simulate") == (
        5,
        UNFINISHED.format(why="")
        + "Which RUN it is: COMMAND runs. A simulated one is not resumed; start it again.\n"
        + "The document: FOLDER/results/WHEN.json\n\ncut short\n",
    )
    assert nightly.called == ["batch providers.csv --simulate --quiet"]


def test_a_command_that_is_not_there_is_mailed_with_what_to_set(nightly: Nightly) -> None:
    nightly.command.unlink()
    code, mail = nightly()

    assert code == 127
    assert mail.startswith(NOT_OURS.format(code=127) + "\n")
    assert mail.endswith("COMMAND: No such file or directory\n")


@pytest.mark.parametrize("has_flock", [True, False])
def test_it_does_not_begin_while_another_goes_on_with_that_folder(
    nightly: Nightly, providers: Any, vapi: Any, bare: str, has_flock: bool
) -> None:
    providers(ROWS[1])
    nightly.results.mkdir()
    path = {} if has_flock else {"PATH": bare}
    with (nightly.results / ".lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert nightly(**path) == (2, STILL)
    assert vapi.rang == {}

    assert nightly(**path) == (0, "")
    assert vapi.rang == {"+18645550106": 1}


def test_a_call_that_outlives_its_job_keeps_the_next_one_out(
    nightly: Nightly, talking: subprocess.Popen[str], vapi: Any
) -> None:
    os.kill(talking.pid, signal.SIGKILL)
    talking.wait(LONGEST)
    for log in nightly.left.iterdir():
        log.unlink()

    assert nightly() == (2, STILL)
    os.kill(nightly.process, signal.SIGKILL)
    assert vapi.rang == {FIRST: 1}
