"""What a program imports: names that load what they need and no more, and a run as one awaited call."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import pytest

import concierge_calls
from concierge_calls import (
    CallMethod,
    CallResult,
    CallStatus,
    Provider,
    RunResult,
    ServiceRequest,
    SettingsError,
    call_providers,
)
from concierge_calls.journal import Results

HEAVY = ("httpx", "pydantic", "phonenumbers", "sqlite3", "typer", "rich", "starlette", "uvicorn", "tenacity", "asyncio")
REQUEST = ServiceRequest(service_needed="plumbing", user_criteria="licensed", client_name="Dana")
BUSY = [Provider(name=f"Provider {row}", phone=f"+1312555{106 + 10 * row:04}") for row in range(4)]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the simulated calls looked at as often as a test wants it."""
    monkeypatch.setenv("VAPI_POLL_INTERVAL", "0.02")


@pytest.fixture
def run(quick: None) -> RunResult:
    """Return a simulated run in which four lines are busy."""
    return asyncio.run(call_providers(BUSY, REQUEST, simulate=True))


def loaded_by(code: str) -> set[str]:
    """Return which of the heavy packages a new interpreter has loaded after this code."""
    ask = f"{code}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_that_takes_time() -> None:
    assert loaded_by("import concierge_calls; concierge_calls.__version__") == set()


def test_importing_the_nouns_loads_nothing_that_takes_time() -> None:
    assert loaded_by("from concierge_calls import Provider, ServiceRequest, CallResult, SettingsError") == set()


def test_every_name_that_is_offered_is_there() -> None:
    assert set(concierge_calls.__all__) <= set(dir(concierge_calls))
    for name in concierge_calls.__all__:
        assert getattr(concierge_calls, name) is not None
    assert {"call_providers", "Provider", "ServiceRequest", "CallResult"} <= set(concierge_calls.__all__)


def test_a_name_that_is_not_offered_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="module 'concierge_calls' has no attribute 'call_provider'"):
        concierge_calls.call_provider  # noqa: B018
    with pytest.raises(ImportError):
        exec("from concierge_calls import Order")  # noqa: S102


def test_a_name_is_the_same_wherever_it_is_imported_from() -> None:
    from concierge_calls import calling, models

    assert concierge_calls.Provider is models.Provider
    assert concierge_calls.call_providers is calling.call_providers


def test_the_version_is_that_of_the_installed_package() -> None:
    assert concierge_calls.__version__ == version("concierge-calls")


def test_a_simulated_run_is_marked_everywhere_and_needs_no_key(run: RunResult) -> None:
    assert (run.run.simulated, run.run.finished, run.run.source) == (True, True, "python")
    assert [result.status for result in run.results] == [CallStatus.BUSY] * 4
    assert {result.call_method for result in run.results} == {CallMethod.SIMULATED}
    assert (run.stats.total, run.stats.busy) == (4, 4)


def test_a_simulated_run_has_a_journal_of_its_own(run: RunResult, tmp_path: Path) -> None:
    assert (tmp_path / "state" / "simulated.db").exists()
    assert not (tmp_path / "state" / "journal.db").exists()


def test_a_simulated_run_may_call_a_number_again_at_once(run: RunResult) -> None:
    again = asyncio.run(call_providers(BUSY[:1], REQUEST, simulate=True))
    assert [result.status for result in again.results] == [CallStatus.BUSY]


def test_results_are_a_sequence_in_the_order_of_the_providers(run: RunResult) -> None:
    results = run.results
    assert isinstance(results, Sequence)
    assert (len(results), [result.index for result in results]) == (4, [0, 1, 2, 3])
    assert [result.provider.name for result in results] == [provider.name for provider in BUSY]
    assert (results[0], results[-1]) == (next(iter(results)), list(results)[3])
    assert [result.index for result in reversed(results)] == [3, 2, 1, 0]
    assert results[1] in results
    with pytest.raises(IndexError):
        results[4]


def test_a_slice_of_results_is_a_sequence_of_them_too(run: RunResult) -> None:
    def indices(results: Sequence[CallResult]) -> list[int]:
        return [result.index for result in results]

    assert indices(run.results[1:3]) == [1, 2]
    assert indices(run.results[::-1]) == [3, 2, 1, 0]
    assert indices(run.results[::2]) == [0, 2]
    assert indices(run.results[1:][1:]) == [2, 3]
    assert indices(run.results[9:]) == []
    assert run.results[1:3][-1].index == 2


def test_results_are_read_when_they_are_asked_for_and_not_before(run: RunResult, tmp_path: Path) -> None:
    assert isinstance(run.results, Results)
    assert isinstance(run.results[:2], Results)
    assert run.results[0] == run.results[0]
    assert run.results[0] is not run.results[0]
    (tmp_path / "state" / "simulated.db").rename(tmp_path / "state" / "elsewhere.db")
    with pytest.raises(concierge_calls.JournalError):
        run.results[0]


def test_what_was_asked_for_stands_in_each_result(run: RunResult) -> None:
    request = run.results[0].request
    assert (request.service_needed, request.user_criteria, request.client_name) == ("plumbing", "licensed", "Dana")


def test_providers_may_come_one_by_one_and_with_whatever_else_is_known_of_them(quick: None) -> None:
    def coming() -> Iterator[Provider]:
        yield Provider(name="Ace", phone="(312) 555-0106", id="a-1", extra={"rating": 4.5, "tags": ["24/7"]})
        yield Provider(name="Best", phone="312.555.0116 ext. 12")

    run = asyncio.run(call_providers(coming(), REQUEST, simulate=True))
    first, second = (result.provider for result in run.results)
    assert (first.phone, first.phone_given, first.id) == ("+13125550106", "(312) 555-0106", "a-1")
    assert first.extra == {"rating": 4.5, "tags": ["24/7"]}
    assert (second.phone, second.extension) == ("+13125550116", "12")


def test_two_runs_can_go_on_at_once_in_one_program(quick: None) -> None:
    async def both() -> list[RunResult]:
        return list(
            await asyncio.gather(
                call_providers(BUSY[:2], REQUEST, simulate=True), call_providers(BUSY[2:], REQUEST, simulate=True)
            )
        )

    one, other = asyncio.run(both())
    assert [result.provider.name for result in one.results] == ["Provider 0", "Provider 1"]
    assert [result.provider.name for result in other.results] == ["Provider 2", "Provider 3"]
    assert one.run.id != other.run.id


def test_an_option_that_there_is_not_is_a_type_error_before_anything_else() -> None:
    with pytest.raises(TypeError, match="max_concurent"):
        asyncio.run(call_providers(BUSY, REQUEST, simulate=True, max_concurent=3))


@pytest.mark.parametrize("options", [{"max_concurrent": 0}, {"call_timeout": 5}, {"start_interval": -1}])
def test_an_option_out_of_its_range_is_said_and_never_clamped(options: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"^{next(iter(options))} "):
        asyncio.run(call_providers(BUSY, REQUEST, simulate=True, **options))  # type: ignore[arg-type]
    assert not (tmp_path / "state").exists()


def test_without_a_key_nobody_is_called() -> None:
    with pytest.raises(SettingsError, match="VAPI_API_KEY and VAPI_PHONE_NUMBER_ID are not set"):
        asyncio.run(call_providers(BUSY, REQUEST))
