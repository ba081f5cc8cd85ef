"""What time it is where a phone number is, and whether people expect to be called then."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from concierge_calls import phone

# The hours in which people expect to be called; at OPENS it is inside them, at CLOSES no more.
OPENS, CLOSES = time(8), time(20)

Zones = tuple[str, ...]  # all the time zones that a number can be in
Walls = tuple[datetime, ...]  # what the clocks on the walls of these zones show, without a zone

MOST_ZONES = 8  # a number that can be in more, such as a toll-free one, can be anywhere

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SATURDAY = 5


def local_clock(number: str, now: datetime) -> str | None:
    """Return the time where a number is, in short: `16:12`, or `11:12-12:12` where it can be in several zones.

    A day other than here, or at a weekend, follows (`09:12 Sun`), then `!` where it is outside 08:00-20:00, or `?`
    where it may be. None where the time is not known. `number` is E.164; `now` is aware.
    """
    shown = walls(zones_of(number), now)
    if not shown:
        return None
    day = weekday(shown, now.date())
    mark = "!" if is_outside(shown) else "?" if may_be_outside(shown) else ""
    return " ".join(filter(None, (clock(shown), day[:3] if day in _DAYS else "", mark)))


@lru_cache(maxsize=1024)
def zones_of(number: str) -> Zones:
    """Return the time zones in which this number can be, none where it can be anywhere or nothing is known of it."""
    zones = phone.time_zones(number)
    return zones if len(zones) <= MOST_ZONES else ()


def walls(zones: Zones, moment: datetime) -> Walls:
    """Return the time in each zone; none at all where this machine does not know one of them."""
    # In UTC no two moments look the same, as they may to a cache where clocks are set back.
    return _walls(zones, moment.astimezone(UTC))


@lru_cache(maxsize=1024)
def _walls(zones: Zones, moment: datetime) -> Walls:
    # A system without time zone data, or with broken data, must not keep anybody from calling.
    try:
        return tuple(moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for zone in zones)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        return ()


def walls_later(zones: Zones, now: datetime, seconds: float) -> Walls:
    """Return the time in each zone so many seconds from now, whatever clocks are changed in between."""
    return walls(zones, now.astimezone(UTC) + timedelta(seconds=seconds))


def is_outside(walls: Walls) -> bool:
    """Tell whether nobody there expects to be called, wherever of these places it is."""
    return bool(walls) and not any(OPENS <= wall.time() < CLOSES for wall in walls)


def may_be_outside(walls: Walls) -> bool:
    """Tell whether people in some of the places expect to be called, and in some do not."""
    return not is_outside(walls) and not all(OPENS <= wall.time() < CLOSES for wall in walls)


def gets_late(wall: datetime, then: datetime) -> bool:
    """Tell whether CLOSES of a day lies between two times of one place, and had not come at the first."""
    return wall.time() < CLOSES and then > datetime.combine(wall, CLOSES)


def clock(walls: Walls) -> str:
    """Return the time of day, or the earliest and the latest where the places differ."""
    first, last = min(walls), max(walls)
    return f"{first:%H:%M}" if first == last else f"{first:%H:%M}-{last:%H:%M}"


def weekday(walls: Walls, today: date) -> str:
    """Return the day there, or both days where the places differ; nothing for a working day that is today's."""
    first, last = min(walls).date(), max(walls).date()
    if first != last:
        return f"{_DAYS[first.weekday()]} to {_DAYS[last.weekday()]}"
    return _DAYS[first.weekday()] if first != today or first.weekday() >= _SATURDAY else ""


def place(zone: str) -> str:
    """Return the name of a time zone's place, such as New York."""
    _, *region, city = zone.replace("_", " ").split("/")
    return f"{city} ({region[0]})" if region else city


def either(zones: Zones) -> str:
    """Return where a number is that can be in any of these zones."""
    return " or ".join(map(place, zones)) if len(zones) <= 2 else f"one of {len(zones)} places"
