"""From when on each look of the change feed asks for changes, and what the latest ones have shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from concierge_calls.vapi.following import Pace
from concierge_calls.vapi.schemas import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look; times are in Vapi's clock."""

    began: datetime
    mark: datetime  # what it asks for changed since, but for how far it reaches back
    since: datetime
    newcomers: datetime | None  # the creation of the oldest call that was placed since the last look
    is_whole: bool


class Looks:
    """The feed's looks: one asks for what changed since the newest change that the last one has shown.

    A change may show itself a while after its own time, so a look reaches back behind that. Looks that follow one
    another quickly reach back but a little, and every now and then a whole one does from where the last whole one was.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self.forget()

    def __repr__(self) -> str:
        upto = f"{self._watermark:%H:%M:%S}" if self._watermark else "nothing"
        return f"<Looks up to {upto}>"

    def forget(self) -> None:
        """Begin anew, since nobody was followed for a while."""
        self.shown: dict[str, Call] = {}  # by id
        self.whole_at: datetime | None = None  # when the last whole look began
        self._watermark: datetime | None = None  # the newest change seen, by Vapi's stamps
        self._whole_mark: datetime | None = None  # the same at the last whole look
        self._newcomers_since: datetime | None = None  # changes since then may have been passed over as a stranger's

    def newcomer(self, created_at: datetime) -> None:
        """A call is followed from now on, which the looks until now did not know."""
        self._newcomers_since = min(self._newcomers_since or created_at, created_at)

    def begin(self, now: datetime) -> Look:
        """Begin the next look."""
        newcomers, self._newcomers_since = self._newcomers_since, None
        is_whole = self.whole_at is None or now - self.whole_at >= timedelta(seconds=self._pace.whole)
        watermark, overlap = (
            (self._whole_mark, self._pace.overlap) if is_whole else (self._watermark, self._pace.glance)
        )
        mark = min(filter(None, (watermark, newcomers)), default=now)
        since = mark - timedelta(seconds=overlap)
        return Look(began=now, mark=mark, since=since, newcomers=newcomers, is_whole=is_whole)

    def failed(self, look: Look) -> None:
        """The look came to nothing, so that its newcomers are still not known."""
        if look.newcomers is not None:
            self.newcomer(look.newcomers)

    def succeeded(self, look: Look, shown: dict[str, Call]) -> None:
        """The look has shown these calls, by id."""
        newest = max([self._watermark or look.mark, *(call.updated_at for call in shown.values() if call.updated_at)])
        # A stamp from the future, by a machine whose clock is ahead, must not hide what the others tell.
        self._watermark = min(newest, max(look.began, look.mark))
        self.shown = shown if look.is_whole else self.shown | shown
        if look.is_whole:
            self.whole_at, self._whole_mark = look.began, self._watermark
