"""`--via kestra` and `--via auto` where Kestra cannot take a run: the exit code, the sentence, and whom it rang."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.command.conftest import Concierge, Vapi
from tests.environment import nobody_listens
from tests.kestra.double.options import PASSWORD, USER, Options
from tests.kestra.double.server import Double

ROW = "Blue Ridge,(864) 555-0100,plumbing"
ACCESS = {"KESTRA_USERNAME": USER, "KESTRA_PASSWORD": PASSWORD}
COMMANDS = "io.kestra.plugin.scripts.shell.Commands"
Start = Callable[..., str]


@pytest.fixture
def kestra(tmp_path: Path) -> Iterator[Start]:
    """Start a double, and return its address."""
    with ExitStack() as stack:

        def start(**options: Any) -> str:
            return stack.enter_context(Double(Options(**options), tmp_path / "kestra")).url

        yield start


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nobody listens."""
    with nobody_listens() as url:
        yield url


@pytest.mark.parametrize(
    ("options", "environ", "code", "sentence"),
    [
        (
            {"plugins": ()},
            {},
            2,
            f"Kestra at URL does not know {COMMANDS}, so a plugin is missing there. Install it (see"
            " https://kestra.io/plugins) and restart Kestra, then: concierge-calls kestra check",
        ),
        (
            {},
            {"KESTRA_PASSWORD": "Wrong-1234"},
            4,
            "Kestra at URL does not accept KESTRA_USERNAME and KESTRA_PASSWORD (HTTP 401). Copy them once more; on a"
            " new server set its first user before. Nobody was dialled.",
        ),
        (
            {"dialect": "2", "version": "3.0.0"},
            {},
            2,
            "Kestra 3.0.0 is not known to this concierge-calls, which speaks with 0.18 to 2.x. Install another version"
            " of either, or use --via direct.",
        ),
        (
            {},
            {"KESTRA_TENANT": "other"},
            2,
            "Kestra at URL has no tenant other (HTTP 400; it says: Bad Request: Tenant must be 'main' for OSS version)."
            " Set KESTRA_TENANT to one that it has: main, as a rule.",
        ),
    ],
    ids=["no plugin", "wrong credentials", "unknown version", "no such tenant"],
)
def test_a_kestra_that_cannot_take_the_run_is_said_and_nobody_is_rung(
    command: Concierge,
    vapi: Vapi,
    providers: Any,
    kestra: Start,
    kept: Callable[[], int],
    options: dict[str, Any],
    environ: dict[str, str],
    code: int,
    sentence: str,
) -> None:
    url = kestra(**options)
    finished = command("batch", providers(ROW), "-q", "--via", "kestra", environ=ACCESS | {"KESTRA_URL": url} | environ)

    assert (finished.code, finished.out, finished.said) == (code, "", sentence.replace("URL", url, 1))
    assert (vapi.rang, kept()) == ({}, 0)


def test_the_same_kestra_is_passed_over_by_auto_which_says_so(
    command: Concierge, vapi: Vapi, providers: Any, kestra: Start
) -> None:
    url = kestra(plugins=())
    finished = command("batch", providers(ROW), environ=ACCESS | {"KESTRA_URL": url, "KESTRA_ENABLED": "true"})

    assert (finished.code, finished.document["run"]["via"]) == (0, "direct")
    assert finished.document["results"][0]["callMethod"] == "direct_vapi"
    assert (
        f"The calls go directly to Vapi, since Kestra cannot take this run. Kestra at {url} does not know {COMMANDS},"
        " so a plugin is missing there. Install it (see https://kestra.io/plugins) and restart Kestra, then:"
        " concierge-calls kestra check" in finished.lines
    )
    assert vapi.rang == {"+18645550100": 1}


def test_a_kestra_that_is_down_is_passed_over_by_auto_and_ends_a_run_that_must_go_by_it(
    command: Concierge, vapi: Vapi, providers: Any, nobody: str
) -> None:
    environ = {"KESTRA_URL": nobody, "KESTRA_ENABLED": "true"}
    file = providers(ROW)
    waiting = command.start("batch", file, "-q", "--via", "kestra", prefix=("env", f"KESTRA_URL={nobody}"))
    finished = command("batch", file, environ=environ)
    refused = waiting.finish()

    sentence = f"Nothing listens at {nobody}. Start Kestra there, or check KESTRA_URL."
    assert (refused.code, refused.out, refused.said) == (2, "", sentence)
    assert (finished.code, finished.document["run"]["via"]) == (0, "direct")
    assert f"The calls go directly to Vapi, since Kestra cannot take this run. {sentence}" in finished.lines
    assert vapi.rang == {"+18645550100": 1}


def test_without_an_address_there_is_no_kestra_to_go_to(command: Concierge, vapi: Vapi, providers: Any) -> None:
    finished = command("batch", providers(ROW), "-q", "--via", "kestra")

    assert (finished.code, vapi.rang) == (2, {})
    assert finished.said == (
        "KESTRA_URL is not set, so there is no Kestra to go to."
        " Set it to its address, such as http://kestra:8080, or use --via direct."
    )


def test_auto_without_kestra_asks_no_kestra_and_needs_a_key(command: Concierge, providers: Any, nobody: str) -> None:
    finished = command("batch", providers(ROW), "-q", environ={"KESTRA_URL": nobody})

    assert finished.code == 2
    assert finished.said.startswith("VAPI_API_KEY and VAPI_PHONE_NUMBER_ID are not set, so nobody can be called.")


def test_a_dry_run_asks_no_kestra(command: Concierge, providers: Any, nobody: str) -> None:
    finished = command("batch", providers(ROW), "--dry-run", "-q", "--via", "kestra", environ={"KESTRA_URL": nobody})

    assert (finished.code, finished.document["run"]["via"]) == (0, "kestra")
