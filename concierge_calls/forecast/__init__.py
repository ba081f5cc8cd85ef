"""What a run would do, before anybody is dialled."""

from concierge_calls.forecast.planned import Forecast, LateEnd, LocalTime, Outside, Skips, forecast
from concierge_calls.forecast.telling import limits, where, who
from concierge_calls.forecast.times import local_clock

__all__ = [
    "Forecast",
    "LateEnd",
    "LocalTime",
    "Outside",
    "Skips",
    "forecast",
    "limits",
    "local_clock",
    "where",
    "who",
]
