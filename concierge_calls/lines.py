"""The telephone lines that calls take and give back, how many there are, and the pace at which they are dialled."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum, auto

from concierge_calls.backend import Backend, Placed
from concierge_calls.journal import Attempt

LONGEST_HOLD_OFF = 30.0
FIRST_QUIET = 1.0  # seconds after a refusal for lack of lines, before one more call is tried
LONGEST_QUIET = 120.0
LONGEST_DOUBT = 15 * 60.0  # seconds in which nobody answers whether a call was placed, before a resume is to ask
LONGEST_ALONE = 30.0  # the same while no call of ours is on the line


class Levels:
    """How many calls may be on the line at once, as far as refusals tell.

    A call that is refused while n - 1 others have their lines closes level n: for a second, and for twice as long each
    time that it is refused again. A call that gets its line opens its level and all below, and the next one after
    another second.
    """

    def __init__(self) -> None:
        self._closed: dict[int, tuple[float, float]] = {}  # level -> until when, after a wait of how many seconds

    def __repr__(self) -> str:
        return f"<Levels refused: {', '.join(map(str, sorted(self._closed))) or 'none'}>"

    def opens(self, level: int) -> float:
        """Return from when on so many calls may be on the line at once."""
        return max((until for each, (until, _) in self._closed.items() if each <= level), default=-math.inf)

    def is_probe(self, level: int) -> bool:
        """Whether one of so many calls was refused before, so that one more is no more than a try."""
        return any(each <= level for each in self._closed)

    def refused(self, level: int, now: float) -> None:
        """One of so many calls got no line; those that were dialled together and refused together are one refusal."""
        until, wait = self._closed.get(level, (-math.inf, 0.0))
        if now >= until:
            wait = min(LONGEST_ALONE if level == 1 else LONGEST_QUIET, 2 * wait or FIRST_QUIET)
            self._closed[level] = now + wait, wait

    def served(self, level: int, now: float) -> None:
        """So many calls have their lines."""
        opened = [each for each in self._closed if each <= level]
        for each in opened:
            del self._closed[each]
        if opened:
            self._closed.setdefault(level + 1, (now + FIRST_QUIET, FIRST_QUIET))


class _Use(Enum):
    TAKEN = auto()
    DIALLED = auto()  # whether the call gets a line is not yet known
    SERVED = auto()
    REFUSED = auto()


class Lines:
    """At most `limit` telephone lines, and for as long as the backend has fewer, no more than those."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._levels = Levels()
        self._taken: set[Line] = set()
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Lines {self.busy} of {self.limit} busy, {self._levels!r}>"

    @property
    def busy(self) -> int:
        """How many lines are taken."""
        return len(self._taken)

    async def take(self) -> Line:
        """Wait until one more call may be dialled, and take a line for it."""
        while (wait := self._wait()) > 0:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait if wait < math.inf else None):
                    await self._changed.wait()
        line = Line(self)
        self.hold(line)
        return line

    def occupy(self) -> Line:
        """Take a line for a call that is on it already, whether one is free or not."""
        line = Line(self, _Use.DIALLED)
        self.hold(line)
        return line

    def try_to_dial(self, line: Line) -> bool:
        """Dial on this line, unless one call more has been refused since it was taken."""
        level = self._dialled + 1
        if self._opens_in(level) > 0:
            return False
        line.is_probe = self._levels.is_probe(level)
        line.use = _Use.DIALLED
        return True

    def refused(self, line: Line) -> None:
        """The backend had no line for the call on this one."""
        if line.use is not _Use.REFUSED:
            line.use = _Use.REFUSED
            self._levels.refused(self._dialled + 1, _now())
            self._changed.set()

    def served(self, line: Line) -> None:
        """The call on this line has one at the backend, too."""
        if line.use is not _Use.SERVED:
            line.use = _Use.SERVED
            self._levels.served(sum(each.use is _Use.SERVED for each in self._taken), _now())
            self._changed.set()

    def hold(self, line: Line) -> None:
        """Have this line taken, whether one is free or not."""
        self._taken.add(line)

    def give_back(self, line: Line) -> None:
        """Let the next one have a line."""
        self._taken.discard(line)
        self._changed.set()

    @property
    def _dialled(self) -> int:
        # Who was refused and still waits at the backend has no line there; it counts against our own limit alone.
        return sum(each.use in (_Use.DIALLED, _Use.SERVED) for each in self._taken)

    def _wait(self) -> float:
        return math.inf if self.busy >= self.limit else self._opens_in(self._dialled + 1)

    def _opens_in(self, level: int) -> float:
        if self._levels.is_probe(level) and any(each.is_probe and each.use is _Use.DIALLED for each in self._taken):
            return math.inf  # what becomes of the one that is tried now says more than a second one would
        return max(0.0, self._levels.opens(level) - _now())


class Line:
    """One line that is taken; it is given back once."""

    def __init__(self, lines: Lines, use: _Use = _Use.TAKEN) -> None:
        self.use = use
        self.is_probe = False
        self._lines = lines

    def __repr__(self) -> str:
        return f"<Line {self.use.name.lower()}{', a try' if self.is_probe else ''}>"

    def dial(self) -> bool:
        """Dial on it; False when one call more was refused since it was taken, and then nobody is to be dialled."""
        return self._lines.try_to_dial(self)

    def refused(self) -> None:
        """The backend has no line for this call, which may wait there for one."""
        self._lines.refused(self)

    def served(self) -> None:
        """The call rings, talks or has ended: it has its line."""
        self._lines.served(self)

    def hold(self) -> None:
        """Take it again, if it was given back, for a call that turned out to be on it."""
        self._lines.hold(self)

    def free(self) -> None:
        """Give the line back; a second time does nothing."""
        self._lines.give_back(self)


class Awaited(StrEnum):
    """What is awaited of a call."""

    END = "end"  # it is on the line: it may be ringing or talking now
    ANALYSIS = "analysis"  # it has ended
    WORD = "word"  # any at all: the backend does not know it, or has not said whether it does


class Underway:
    """The calls of a run that are not settled, what is awaited of each, and until when at the latest."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._calls: dict[int, tuple[Awaited, datetime, str | None]] = {}  # by attempt; until when, and the call's id

    def __repr__(self) -> str:
        return f"<Underway {', '.join(f'{self.count(each)} {each}' for each in Awaited)}>"

    def put(self, attempt: Attempt, awaited: Awaited, placed: Placed | None = None) -> None:
        """From now on this is awaited of the attempt's call, which is not known to be placed while it is in doubt."""
        until = self._until(attempt, awaited, placed)
        self._calls[attempt.id] = awaited, until, attempt.call_id if placed is None else placed.call_id

    def remove(self, attempt: Attempt) -> None:
        """Nothing more is awaited of it; a second time does nothing."""
        self._calls.pop(attempt.id, None)

    def count(self, awaited: Awaited) -> int:
        """Of how many calls this is awaited."""
        return sum(each is awaited for each, _, _ in self._calls.values())

    def latest(self, awaited: Awaited) -> datetime | None:
        """Until when at the latest this is awaited of any call, if the backend can be asked, by this machine's clock.

        None where it is awaited of none. Of a call on the line it is when that is settled.
        """
        latest = max((until for each, until, _ in self._calls.values() if each is awaited), default=None)
        return None if latest is None else datetime.now(UTC) + (latest - self._backend.now())

    def unended(self) -> list[str]:
        """The ids of those that have one already and are not known to have ended."""
        return [name for each, _, name in self._calls.values() if name is not None and each is not Awaited.ANALYSIS]

    def _until(self, attempt: Attempt, awaited: Awaited, placed: Placed | None) -> datetime:
        if awaited is Awaited.ANALYSIS:
            ended_at = attempt.known.ended_at if attempt.known else None  # under an earlier process, if that is known
            return max(self._backend.now(), self._backend.latest_analysis(ended_at or self._backend.now()))
        if awaited is Awaited.WORD and placed is None:
            return self._backend.now() + timedelta(seconds=LONGEST_DOUBT)
        created_at = attempt.created_at or attempt.dialed_at if placed is None else placed.created_at
        return self._backend.latest_end(created_at, known=awaited is Awaited.END)


class Pace:
    """When the next dial may leave: so long after the last one, and later while dialling fails."""

    def __init__(
        self, interval: float, *, sleep: Callable[[float], Awaitable[object]], monotonic: Callable[[], float]
    ) -> None:
        self._interval = interval
        self._sleep = sleep
        self._monotonic = monotonic
        self._spaced_until = 0.0
        self._failures = 0
        self._held_until = 0.0
        self._failing_since: float | None = None
        self._failed_at = 0.0

    @property
    def left(self) -> float:
        """Seconds until the next dial may leave; 0.0 when it may at once."""
        return max(0.0, max(self._spaced_until, self._held_until) - self._monotonic())

    async def wait(self) -> None:
        """Return when the next dial may leave."""
        while (left := self.left) > 0:
            await self._sleep(left)

    def dialled(self) -> None:
        """A dial leaves now: the next one waits its interval."""
        self._spaced_until = self._monotonic() + self._interval

    def answered(self) -> None:
        """Whoever places calls is there: a call was placed, or refused for a reason that only they can name."""
        self._failures = 0
        self._failing_since = None

    def hold_off(self, seconds: float) -> None:
        """Nobody is to be dialled for so long, because whoever places calls asked for that."""
        self._held_until = max(self._held_until, self._monotonic() + seconds)

    def failed(self) -> None:
        """A call could not be placed, for nobody was there: wait longer with every failure in a row.

        Requests that were in flight together and failed together are one failure.
        """
        now = self._failed_at = self._monotonic()
        if self._failing_since is None:
            self._failing_since = now
        if now >= self._held_until:
            self._failures += 1
        self.hold_off(min(LONGEST_HOLD_OFF, 2.0 ** (self._failures - 1)))

    @property
    def failing_for(self) -> float:
        """Seconds from the first to the last failure since anybody answered; 0.0 when dialling does not fail."""
        return 0.0 if self._failing_since is None else self._failed_at - self._failing_since


def _now() -> float:
    return asyncio.get_running_loop().time()
