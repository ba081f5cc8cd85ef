"""Goes through a planned run once and forecasts it: who is called, what time it is there, how long it may take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

from concierge_calls.forecast import times
from concierge_calls.forecast.times import Walls, Zones
from concierge_calls.models import CallResult, CallStatus, Provider, Reason
from concierge_calls.plain import count, shown

NAMED = 5  # people who would be called outside the hours
_NAME_WIDTH = 30

_Timed = tuple[Zones, Walls, int]  # where numbers can be, the time there, and how many numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Skips:
    """How many are not called for one reason."""

    code: str
    count: int
    example: str  # what was said of the first of them, safe to show


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTime:
    """A time of day at which phones would ring now, and where."""

    place: str  # "New York and Toronto"; "Adak or Anchorage" where a number can be in either
    clock: str  # "16:12", or "11:12-12:12" where the places differ
    weekday: str  # "Sunday", "Saturday to Sunday"; empty where it goes without saying
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Somebody whose phone would ring now outside the hours in which people expect it."""

    name: str  # safe to show
    last_four: str
    clock: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LateEnd:
    """Where it is not 20:00 yet, but may be before the last call has ended."""

    place: str
    clock: str
    days: int  # after today, there


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a run would do."""

    called: int
    skipped: int
    reasons: tuple[Skips, ...]  # the most frequent first
    max_concurrent: int
    longest: float  # seconds; 0.0 where nobody is called
    rate: float | None  # dollars a minute
    most_cost: float | None  # dollars; None where no rate is known
    local: tuple[LocalTime, ...]  # the most numbers first
    outside: tuple[Outside, ...]  # the first few of them
    outside_count: int  # of those for whom it is outside the hours wherever their number can be
    perhaps_outside: int  # of those for whom it is in some of these places
    unknown: int  # numbers of which nobody can say where they are
    untimed: int  # numbers in time zones of which this machine knows nothing
    late: LateEnd | None  # the latest of them


def forecast(
    results: Iterable[CallResult],
    *,
    now: datetime,
    max_concurrent: int,
    start_interval: float,
    call_timeout: int,
    longest_call: float,
    analysis_timeout: float,
    rate: float | None,
) -> Forecast:
    """Say what a planned run would do, going through its results once and keeping none of them.

    `pending` and `not_called` results will be called, `skipped` ones will not, and others count for nothing. `now` is
    aware, in the zone of whoever reads the forecast. A call costs for `call_timeout` at most, and takes `longest_call`
    with its ringing and its end; these, `start_interval` and `analysis_timeout` are seconds, `rate` dollars a minute.
    """
    tally = _Tally(now)
    for result in results:
        if result.status in (CallStatus.PENDING, CallStatus.NOT_CALLED):  # a run that was stopped goes on with these
            tally.call(result.provider)
        elif result.status is CallStatus.SKIPPED:
            tally.skip(result.error)
    calling = _calling(tally.called, max_concurrent, start_interval, longest_call)
    return Forecast(
        called=tally.called,
        skipped=tally.skips.total(),
        reasons=tuple(Skips(code=code, count=n, example=tally.said[code]) for code, n in tally.skips.most_common()),
        max_concurrent=max_concurrent,
        longest=calling + analysis_timeout if tally.called else 0.0,
        rate=rate,
        most_cost=None if rate is None else tally.called * call_timeout / 60 * rate,
        local=tuple(_local_times(tally.timed(), now.date())),
        outside=tuple(tally.outside),
        outside_count=tally.count_where(times.is_outside),
        perhaps_outside=tally.count_where(times.may_be_outside),
        unknown=tally.zones[()],
        untimed=sum(n for zones, n in tally.zones.items() if zones and not tally.walls[zones]),
        late=_late_end(tally.timed(), now, calling),
    )


@dataclass(slots=True)
class _Tally:
    """Counts results one by one; keeps their kinds, and of people only the first few to be named."""

    now: datetime
    called: int = 0
    skips: Counter[str] = field(default_factory=Counter)
    said: dict[str, str] = field(default_factory=dict)  # the reason's code -> the first message
    zones: Counter[Zones] = field(default_factory=Counter)
    walls: dict[Zones, Walls] = field(default_factory=dict)
    outside: list[Outside] = field(default_factory=list)

    def call(self, provider: Provider) -> None:
        self.called += 1
        zones = times.zones_of(provider.phone or "")
        if zones not in self.walls:
            self.walls[zones] = times.walls(zones, self.now)
        self.zones[zones] += 1
        if len(self.outside) < NAMED and times.is_outside(self.walls[zones]):
            self.outside.append(_named(provider, zones, self.walls[zones]))

    def skip(self, reason: Reason | None) -> None:
        code, message = (reason.code, reason.message) if reason else ("no_reason", "No reason is known.")
        self.skips[code] += 1
        if code not in self.said:
            text = shown(message)
            self.said[code] = text if text.endswith(".") else f"{text}."

    def timed(self) -> Iterator[_Timed]:
        """Give the zones of which the time is known, with the time and how many numbers can be there."""
        return ((zones, self.walls[zones], n) for zones, n in self.zones.items() if self.walls[zones])

    def count_where(self, holds: Callable[[Walls], bool]) -> int:
        return sum(n for _, walls, n in self.timed() if holds(walls))


def _named(provider: Provider, zones: Zones, walls: Walls) -> Outside:
    name = shown(provider.name, _NAME_WIDTH) or "(no name)"
    return Outside(name=name, last_four=provider.last_four, clock=times.clock(walls), place=times.either(zones))


def _local_times(timed: Iterable[_Timed], today: date) -> Iterator[LocalTime]:
    """Join the places where it is the same time; numbers that can be at several times stand by themselves."""
    places: dict[tuple[Walls, str], Counter[str]] = {}
    numbers: Counter[tuple[Walls, str]] = Counter()
    for zones, walls, n in timed:
        differing = tuple(sorted(set(walls)))
        group = differing, times.either(zones) if len(differing) > 1 else ""
        numbers[group] += n
        places.setdefault(group, Counter()).update(dict.fromkeys(map(times.place, zones), n))
    for group, n in sorted(numbers.items(), key=lambda item: (-item[1], item[0])):
        walls, either = group
        place, weekday = either or _all_of(places[group]), times.weekday(walls, today)
        yield LocalTime(place=place, clock=times.clock(walls), weekday=weekday, count=n)


def _all_of(places: Counter[str]) -> str:
    first, *more = sorted(places, key=lambda place: (-places[place], place))
    if len(more) <= 1:
        return " and ".join((first, *more))
    return f"{first}, {more[0]} and {count(len(more) - 1, 'more place')}"


def _late_end(timed: Iterable[_Timed], now: datetime, seconds: float) -> LateEnd | None:
    late = [
        (max(then), n, zones, max(then).date() - max(walls).date())
        for zones, walls, n in timed
        if (then := times.walls_later(zones, now, seconds)) and all(map(times.gets_late, walls, then))
    ]
    if not late:
        return None
    latest, _, zones, after = max(late)
    return LateEnd(place=times.either(zones), clock=f"{latest:%H:%M}", days=after.days)


def _calling(called: int, max_concurrent: int, start_interval: float, longest_call: float) -> float:
    """Return how many seconds it takes at most until the last call has ended, the lines being dialled in turn."""
    rounds, rest = divmod(max(called - 1, 0), max_concurrent)
    return rounds * max(longest_call, max_concurrent * start_interval) + rest * start_interval + longest_call
