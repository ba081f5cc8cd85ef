"""What a child takes of the account and of the time: its share, its turn to begin, and its own bound."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from concierge_calls.caller import Caller
from concierge_calls.kestra.child import Child, bound, settings_of
from concierge_calls.kestra.item import DEFAULTS, LINES, Part, part
from concierge_calls.kestra.sweeping import KEPT, sweep
from concierge_calls.settings.loading import Settings
from tests.calling.fakes import VirtualLoop, now
from tests.kestra.children import AVAILABLE, LATER, TODAY, as_base64, item

PHONES = (AVAILABLE, TODAY, LATER)


def handed(value: Any, lines: int) -> Part:
    return part(value, {LINES: str(lines)})


@pytest.mark.parametrize(("lines", "requests", "poll"), [(1, 150, 1.0), (5, 30, 5.0), (40, 3, 40.0), (100, 3, 60.0)])
def test_a_child_asks_vapi_for_no_more_than_its_share(lines: int, requests: int, poll: float) -> None:
    settings = settings_of(handed(item(AVAILABLE), lines))

    assert (settings.max_requests_per_minute, settings.poll_interval) == (requests, poll)
    assert settings.max_concurrent == 1


def test_a_share_of_no_limit_is_no_limit_and_of_a_small_one_no_more_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAPI_MAX_REQUESTS_PER_MINUTE", "0")
    assert settings_of(handed(item(AVAILABLE), 5)).max_requests_per_minute == 0

    monkeypatch.setenv("VAPI_MAX_REQUESTS_PER_MINUTE", "2")
    assert settings_of(handed(item(AVAILABLE), 5)).max_requests_per_minute == 2


def test_the_one_task_of_a_flow_has_all_lines_and_the_whole_limit() -> None:
    settings = settings_of(handed([item(AVAILABLE), item(TODAY, first=1, place=1)], 5))

    assert (settings.max_concurrent, settings.max_requests_per_minute, settings.poll_interval) == (5, 150, 1.0)


def test_what_the_run_was_told_goes_before_what_the_worker_has(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "VAPI_CALL_TIMEOUT": "60",
        "VAPI_ANALYSIS_TIMEOUT": "1",
        "VAPI_START_INTERVAL": "9",
        "VAPI_PHONE_NUMBER_ID": "the-workers",
        "VAPI_ASSISTANT_ID": "the-workers",
        "CONCIERGE_RECORD": "true",
    }.items():
        monkeypatch.setenv(name, value)
    told = settings_of(handed(item(AVAILABLE, phone_number_id="the-runs"), 1))

    assert (told.call_timeout, told.analysis_timeout, told.start_interval) == (300, 120.0, 0.0)
    assert (told.phone_number_id, told.assistant_id, told.record) == ("the-runs", None, False)


def test_a_plain_item_is_called_as_the_worker_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAPI_CALL_TIMEOUT", "60")
    monkeypatch.setenv("VAPI_ASSISTANT_ID", "the-workers")
    inputs = {DEFAULTS: as_base64({"execution_id": "an-execution"}), LINES: "1"}
    settings = settings_of(part({"name": "One", "phone": AVAILABLE}, inputs))

    assert (settings.call_timeout, settings.assistant_id) == (60, "the-workers")


@pytest.mark.parametrize(
    ("value", "lines", "rounds"), [(item(AVAILABLE), 3, 1), (item(*PHONES), 3, 3), ([item(*PHONES)], 2, 2)]
)
def test_a_child_bounds_itself_well_before_the_backstop_of_its_flow(value: Any, lines: int, rounds: int) -> None:
    wanted = handed(value, lines)
    backstop = 2 * rounds * (300 + 90 + 120)

    settings = settings_of(wanted)

    assert bound(wanted, settings) == 0.75 * backstop
    assert bound(wanted, settings, 1.0) == 0.75 * backstop + 1.0
    assert bound(wanted, settings, 86400.0) == backstop - 20.0


def test_a_child_whose_turn_never_comes_in_its_time_ends_by_itself_and_calls_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calling, statuses = worked(item(AVAILABLE, place=4, start_interval=3600.0), 5, monkeypatch)

    assert (calling.began, statuses) == (None, ["pending"])


class OnPaper:
    """Calls nobody, and says when it was to begin and when to leave."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.left: float | None = None

    async def __call__(
        self, part: Part, settings: Settings, path: Path, *, around: object, on_caller: Callable[[Caller], object]
    ) -> None:
        self.began = now()
        on_caller(self)  # type: ignore[arg-type]
        await asyncio.Event().wait()

    async def leave(self) -> None:
        """What a caller is told that has to leave its calls."""
        self.left = now()


def worked(handed_over: Mapping[str, Any], lines: int, monkeypatch: pytest.MonkeyPatch) -> tuple[OnPaper, list[str]]:
    """Have a child work in a time of its own until it ends by itself."""
    monkeypatch.setenv("VAPI_API_KEY", "a-key")
    monkeypatch.setenv("VAPI_PHONE_NUMBER_ID", "a-number")
    calling = OnPaper()
    environ = {"CONCIERGE_CHILD_ITEM_B64": as_base64(handed_over), LINES: str(lines)}

    async def work() -> list[str]:
        answer = await Child(calling, environ).work()
        return [entry["status"] for entry in answer.entries]

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return calling, runner.run(work())


@pytest.mark.parametrize(("place", "began"), [(0, 0.0), (2, 3.0), (4, 6.0), (5, 0.0), (60, 0.0)])
def test_the_first_children_wait_their_turn_to_dial_and_those_after_them_begin_at_once(
    place: int, began: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    calling, statuses = worked(item(AVAILABLE, place=place, start_interval=1.5), 5, monkeypatch)

    assert (calling.began, statuses) == (began, ["pending"])


def test_a_child_whose_time_is_over_leaves_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    calling, statuses = worked(item(AVAILABLE, TODAY), 1, monkeypatch)

    assert (calling.left, statuses) == (1.5 * 2 * 510, ["pending", "pending"])


def test_what_nobody_has_touched_for_30_days_is_swept(tmp_path: Path) -> None:
    markers, children = tmp_path / "markers", tmp_path / "children"
    for name, age in {"old-1-1": KEPT + 60, "new-1-1": KEPT - 60}.items():
        (children / name).mkdir(parents=True)
        (children / name / "journal.db").touch()
        markers.mkdir(exist_ok=True)
        (markers / name).touch()
        when = time.time() - age
        for path in (children / name, markers / name):
            os.utime(path, (when, when))
    sweep(markers=markers, children=children)

    assert [path.name for path in markers.iterdir()] == ["new-1-1"]
    assert [path.name for path in children.iterdir()] == ["new-1-1"]


def test_there_need_be_nothing_to_sweep(tmp_path: Path) -> None:
    sweep(markers=tmp_path / "markers", children=tmp_path / "children")

    assert not (tmp_path / "markers").exists()
