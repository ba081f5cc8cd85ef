"""A forecast in plain sentences, for a person who is about to say yes or no."""

from __future__ import annotations

import math
from collections.abc import Iterator

from concierge_calls.forecast.planned import Forecast
from concierge_calls.forecast.times import CLOSES, OPENS
from concierge_calls.plain import count

_HOURS = f"{OPENS:%H:%M}-{CLOSES:%H:%M}"
_PLACES, _REASONS = 4, 6  # lines of each


def who(forecast: Forecast) -> Iterator[str]:
    """Say how many are called, how many are not, and why."""
    called, skipped = forecast.called, forecast.skipped
    if called:
        most = f", at most {min(called, forecast.max_concurrent):,} at once" if called > 1 else ""
        others = f"; {skipped:,} of {called + skipped:,} will not, each with its reason in the document"
        yield f"{count(called, 'provider')} will be called{most}{others if skipped else ''}."
    else:
        yield f"Nobody will be called: {count(skipped, 'provider')}, each with its reason in the document."
    for reason in forecast.reasons[:_REASONS]:
        such = ", such as" if reason.count > 1 else ""
        yield f"Not called: {reason.count:,} ({reason.code.replace('_', ' ')}){such}: {reason.example}"
    if rest := sum(reason.count for reason in forecast.reasons[_REASONS:]):
        yield f"Not called: {rest:,} for other reasons."


def where(forecast: Forecast) -> Iterator[str]:
    """Say what time it is where the phones would ring, and for whom it is outside the hours in which they expect it."""
    for local in forecast.local[:_PLACES]:
        day = f" ({local.weekday})" if local.weekday else ""
        yield f"In {local.place} it is {local.clock}{day}: {count(local.count, 'number')}."
    if rest := sum(local.count for local in forecast.local[_PLACES:]):
        yield f"Elsewhere: {count(rest, 'number')}."
    if forecast.unknown:
        many = count(forecast.unknown, "number")
        yield f"The local time of {many} is not known: it cannot be told where such a number is."
    if forecast.untimed:
        many = count(forecast.untimed, "number")
        yield (
            f"The local time of {many} is not known: this machine has no time zone data for it;"
            " pip install tzdata adds it."
        )
    yield from _outside(forecast)


def _outside(forecast: Forecast) -> Iterator[str]:
    if forecast.outside_count:
        named = ", ".join(f"{one.name} …{one.last_four} ({one.clock} in {one.place})" for one in forecast.outside)
        rest = forecast.outside_count - len(forecast.outside)
        more = f" and {rest:,} more" if rest else ""
        yield f"It is outside {_HOURS} for {count(forecast.outside_count, 'provider')}: {named}{more}."
    if forecast.perhaps_outside:
        many = count(forecast.perhaps_outside, "number")
        yield f"It may be outside {_HOURS} for {many} that can be in several time zones."
    if forecast.outside_count:
        yield ("This is a warning, and nobody is held back for it; to call at a better time, begin the run later.")


def limits(forecast: Forecast) -> Iterator[str]:
    """Say how long the run takes at the longest, how late that is where it gets late, and what it can cost at most."""
    yield f"It takes {_length(forecast.longest)} at the longest, if every call lasts as long as it may."
    if late := forecast.late:
        after = "" if not late.days else " the next day" if late.days == 1 else f" {late.days:,} days later"
        yield f"The last call may go on until {late.clock}{after} in {late.place}, after {CLOSES:%H:%M} there."
    if forecast.rate is not None and forecast.most_cost is not None:
        most, rate = _dollars(forecast.most_cost), f"${forecast.rate:.2f}"
        yield f"It costs about {most} at most, at {rate} a minute, as earlier calls did on average."


def _dollars(amount: float) -> str:
    # Whole dollars where cents would be more exact than the rate is; never less than it is.
    return f"${math.ceil(round(amount, 6)):,}" if amount >= 10 else f"${math.ceil(round(amount * 100, 6)) / 100:.2f}"


def _length(seconds: float) -> str:
    hours, minutes = divmod(math.ceil(round(seconds / 60, 6)), 60)
    parts = [count(hours, "hour")] if hours else []
    return " ".join([*parts, count(minutes, "minute")] if minutes or not hours else parts)
