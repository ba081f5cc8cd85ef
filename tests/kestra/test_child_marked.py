"""Before each dial a mark is left and Vapi is asked; what either says decides whether anybody is dialled."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from concierge_calls.backend import Placed, Progress, Stage, Verdict
from concierge_calls.errors import (
    AccountRefused,
    ComeBackLater,
    JournalError,
    NumberRefused,
    PlacementError,
    PlacementInDoubt,
    ReadFailed,
    ReadRefused,
)
from concierge_calls.kestra.answer import unknown
from concierge_calls.kestra.item import LINES, part
from concierge_calls.kestra.marked import MarkedBackend
from concierge_calls.kestra.markers import Markers
from concierge_calls.kestra.searched import first_day
from concierge_calls.models import CallRequest, Provider, Reason, ServiceRequest
from tests.calling.fakes import FakeBackend, PaperTurn, Take, moment
from tests.kestra.children import item

RUN = "20260101-abcdefgh"
ASKED = CallRequest(index=1, provider=Provider(name="One", phone="+18645550100"), request=ServiceRequest())


class SearchedBackend(FakeBackend):
    """A backend on paper whose list can be searched by how keys begin."""

    def __init__(self, *takes: Take) -> None:
        super().__init__({8: takes}, lambda _: None)
        self.searched: list[tuple[str, datetime]] = []
        self.unasked: ReadFailed | None = None  # raised by each search
        self.listed: dict[str, Placed] = {}
        self.on_search: Callable[[], object] = lambda: None
        self.answers = True  # where not, a search goes on for ever

    def now(self) -> datetime:
        return moment(0.0)

    async def find_all(self, beginning: str, since: datetime) -> Mapping[str, Placed]:
        self.searched.append((beginning, since))
        self.on_search()
        if not self.answers:
            await asyncio.Event().wait()
        if self.unasked is not None:
            raise self.unasked
        return {key: placed for key, placed in self.listed.items() if key.startswith(beginning)}

    def lists(self, key: str, call_id: str, verdict: Verdict | None = None) -> None:
        """Have the list show a call, which has ended so if there is a verdict."""
        over = None if verdict is None else Progress(stage=Stage.ENDED, verdict=verdict)
        self.listed[key] = Placed(call_id=call_id, created_at=moment(0.0), over=over)


class Dialling:
    """A run's second row, which is row 8 of the whole, about to be dialled."""

    def __init__(self, folder: Path, *takes: Take) -> None:
        self.backend = SearchedBackend(*takes)
        self.markers = Markers(folder)
        self.ends = asyncio.Event()
        self.marked = MarkedBackend(self.backend, self.markers, RUN, (7, 8), ends=self.ends)
        self.turn: PaperTurn | None = None

    def place(self, ordinal: int = 1) -> Placed | PlacementError:
        """Place the call, and return the receipt or the refusal."""

        async def placed() -> Placed:
            self.turn = PaperTurn(self.backend)
            return await self.marked.place(ASKED, f"{RUN}-8-{ordinal}", self.turn)

        try:
            return asyncio.run(placed())
        except PlacementError as error:
            return error

    def follow(self, placed: Placed) -> None:
        """Follow the call to its end."""

        async def followed() -> None:
            async with self.marked.open():
                async for _ in self.marked.follow(placed):
                    pass

        asyncio.run(followed())

    def find(self, *keys: str) -> Mapping[str, Placed]:
        """Look for these keys' calls."""
        return asyncio.run(self._find(keys))

    async def _find(self, keys: Sequence[str]) -> Mapping[str, Placed]:
        return await self.marked.find(keys, self.backend.now())

    @property
    def sent(self) -> list[tuple[int, str]]:
        """The requests that left: the row, and the key."""
        return [(sent.row, sent.key) for sent in self.backend.sent]

    @property
    def marks(self) -> set[str]:
        return {key.removeprefix(f"{RUN}-") for key in self.markers.beginning("")}


@pytest.fixture
def dialling(tmp_path: Path) -> Dialling:
    return Dialling(tmp_path / "markers")


def test_nobody_was_dialled_before_so_the_call_is_placed_and_stays_marked(dialling: Dialling) -> None:
    placed = dialling.place()

    assert isinstance(placed, Placed)
    assert dialling.sent == [(8, f"{RUN}-8-1")]
    assert dialling.marks == {"8-1"}
    assert dialling.backend.searched == [(f"{RUN}-", moment(0.0) - timedelta(hours=24))]


@pytest.mark.parametrize("key", [f"{RUN}-8-1", f"{RUN}-8-3"], ids=["this attempt's", "another attempt's"])
def test_a_call_of_the_row_that_is_listed_is_followed(dialling: Dialling, key: str) -> None:
    dialling.backend.lists(key, "theirs")
    placed = dialling.place()

    assert isinstance(placed, Placed)
    assert (placed.call_id, dialling.sent) == ("theirs", [])
    assert (dialling.backend.turns_out, dialling.backend.turns_unused) == (0, 1)


def test_calls_of_other_rows_and_of_runs_with_a_like_name_are_nothing_to_it(dialling: Dialling) -> None:
    for key in (f"{RUN}-7-1", f"{RUN}-80-1", f"{RUN}-8-1-1", f"{RUN}-8-0-1"):
        dialling.backend.lists(key, "theirs")
        dialling.markers.put(key)
    dialling.place()

    assert dialling.sent == [(8, f"{RUN}-8-1")]


@pytest.mark.parametrize("ordinal", [1, 2], ids=["this attempt", "another attempt"])
def test_a_row_that_was_marked_and_is_not_listed_is_in_doubt(dialling: Dialling, ordinal: int) -> None:
    dialling.markers.put(f"{RUN}-8-{ordinal}")
    doubt = dialling.place()

    assert isinstance(doubt, PlacementInDoubt)
    assert (doubt.code, dialling.sent, dialling.backend.turns_out) == ("marked", [], 0)
    assert dialling.marks == {"8-1", f"8-{ordinal}"}


@pytest.mark.parametrize("verdict", [Verdict.NO_LINE, Verdict.START_FAILED, Verdict.WITHDRAWN, Verdict.ACCOUNT])
def test_an_attempt_that_was_never_dialled_keeps_nobody_from_the_next_one(dialling: Dialling, verdict: Verdict) -> None:
    dialling.markers.put(f"{RUN}-8-1")
    dialling.backend.lists(f"{RUN}-8-1", "theirs", verdict)
    dialling.place(ordinal=2)

    assert dialling.sent == [(8, f"{RUN}-8-2")]


def test_a_call_of_this_very_attempt_that_was_never_dialled_is_followed_so_that_the_next_one_has_another_key(
    dialling: Dialling,
) -> None:
    dialling.backend.lists(f"{RUN}-8-1", "theirs", Verdict.NO_LINE)
    placed = dialling.place()

    assert isinstance(placed, Placed)
    assert (placed.call_id, dialling.sent) == ("theirs", [])


def test_a_call_that_ended_otherwise_is_not_dialled_again(dialling: Dialling) -> None:
    dialling.backend.lists(f"{RUN}-8-1", "theirs", Verdict.FINAL)
    placed = dialling.place(ordinal=2)

    assert isinstance(placed, Placed)
    assert (placed.call_id, dialling.sent) == ("theirs", [])


@pytest.mark.parametrize("refusal", [NumberRefused(), AccountRefused(), ComeBackLater()])
def test_a_refusal_takes_the_mark_back(tmp_path: Path, refusal: PlacementError) -> None:
    dialling = Dialling(tmp_path / "markers", Take(error=refusal))

    assert dialling.place() is refusal
    assert dialling.marks == set()
    assert isinstance(dialling.place(ordinal=2), Placed)


@pytest.mark.parametrize("answers", [True, False], ids=["answered", "unanswered"])
def test_nobody_is_dialled_once_the_task_has_to_end_and_the_mark_is_taken_back(
    dialling: Dialling, answers: bool
) -> None:
    dialling.backend.on_search, dialling.backend.answers = dialling.ends.set, answers
    later = dialling.place()

    assert isinstance(later, ComeBackLater)
    assert (later.code, dialling.sent, dialling.marks) == ("ending", [], set())
    assert (dialling.backend.turns_out, dialling.backend.turns_unused) == (0, 1)


def test_what_an_earlier_start_marked_stays_in_doubt_when_the_task_has_to_end(dialling: Dialling) -> None:
    dialling.markers.put(f"{RUN}-8-1")
    dialling.backend.on_search, dialling.backend.answers = dialling.ends.set, False

    assert isinstance(dialling.place(), PlacementInDoubt)
    assert (dialling.sent, dialling.marks) == ([], {"8-1"})


def test_a_lost_reply_leaves_the_mark(tmp_path: Path) -> None:
    dialling = Dialling(tmp_path / "markers", Take(error=PlacementInDoubt()))

    assert isinstance(dialling.place(), PlacementInDoubt)
    assert dialling.marks == {"8-1"}


def test_the_mark_of_a_call_that_was_never_dialled_is_taken_back_when_it_ends(tmp_path: Path) -> None:
    dialling = Dialling(tmp_path / "markers", Take(verdict=Verdict.WITHDRAWN, talk=0.0))
    placed = dialling.place()
    assert isinstance(placed, Placed)
    dialling.follow(placed)

    assert dialling.marks == set()
    assert isinstance(dialling.place(ordinal=2), Placed)
    assert dialling.sent == [(8, f"{RUN}-8-1"), (8, f"{RUN}-8-2")]


@pytest.mark.parametrize(("error", "kind"), [(ReadFailed(), ComeBackLater), (ReadRefused(status=401), AccountRefused)])
def test_a_vapi_that_cannot_be_asked_has_nobody_dialled_and_leaves_no_mark(
    dialling: Dialling, error: ReadFailed, kind: type[PlacementError]
) -> None:
    dialling.backend.unasked = error
    refused = dialling.place()

    assert type(refused) is kind
    assert (refused.message, dialling.sent, dialling.marks) == (error.message, [], set())


def test_a_vapi_that_cannot_be_asked_about_a_marked_row_leaves_it_in_doubt(dialling: Dialling) -> None:
    dialling.markers.put(f"{RUN}-8-1")
    dialling.backend.unasked = ReadFailed()

    assert isinstance(dialling.place(), PlacementInDoubt)
    assert (dialling.sent, dialling.marks) == ([], {"8-1"})


def test_a_dial_that_cannot_be_marked_does_not_leave(dialling: Dialling, tmp_path: Path) -> None:
    (tmp_path / "markers").rmdir()
    refused = dialling.place()

    assert isinstance(refused, AccountRefused)
    assert (refused.code, dialling.sent) == ("not_marked", [])


def test_what_was_listed_before_is_not_asked_for_again(dialling: Dialling) -> None:
    dialling.place()
    dialling.backend.listed.clear()
    dialling.place(ordinal=2)

    assert [since for _, since in dialling.backend.searched] == [
        moment(0.0) - timedelta(hours=24),
        moment(0.0) - timedelta(minutes=10),
    ]


def test_the_call_of_an_attempt_in_doubt_is_found_by_any_attempt_of_its_row(dialling: Dialling) -> None:
    dialling.backend.lists(f"{RUN}-8-2", "theirs")
    found = dialling.find(f"{RUN}-8-1", f"{RUN}-7-1")

    assert found == {f"{RUN}-8-1": dialling.backend.listed[f"{RUN}-8-2"]}


@pytest.mark.parametrize(
    ("run_id", "first"),
    [
        ("20261124-abcdefgh", datetime(2026, 11, 23, 12, tzinfo=UTC)),  # today's
        ("20261120-abcdefgh", datetime(2026, 11, 19, 23, tzinfo=UTC)),
        ("20260101-abcdefgh", datetime(2026, 10, 25, 12, tzinfo=UTC)),
        ("20261131-abcdefgh", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ("mine", datetime(2026, 11, 23, 12, tzinfo=UTC)),
    ],
)
def test_calls_are_looked_for_from_the_day_of_the_run(run_id: str, first: datetime) -> None:
    assert first_day(run_id, datetime(2026, 11, 24, 12, tzinfo=UTC)) == first


def test_a_marker_is_put_once(tmp_path: Path) -> None:
    markers = Markers(tmp_path / "markers")

    assert [markers.put("a-1-1"), markers.put("a-1-1"), Markers(tmp_path / "markers").put("a-1-1")] == [
        True,
        False,
        False,
    ]
    assert (tmp_path / "markers").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "markers").write_text("")
    with pytest.raises(
        JournalError, match=r"^Who is dialled cannot be marked in .*/markers \(File exists\), so nobody"
    ):
        Markers(tmp_path / "markers")


def test_marks_in_a_folder_that_can_no_longer_be_written_still_make_their_rows_uncertain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed = part(item("+18645550100", "+18645550101", first=7), {LINES: "1"})
    Markers(tmp_path).put(f"{handed.run_id}-8-1")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(JournalError):
        Markers(tmp_path)
    told = unknown(handed, tmp_path, Reason("journal", "The disk is read-only."))

    assert [(each["index"], each["status"]) for each in told.entries] == [(7, "not_called"), (8, "uncertain")]
