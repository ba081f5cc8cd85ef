"""What a planned run would do, in the sentences of the dry run: what time it is there, how long, for how much."""

from __future__ import annotations

from datetime import datetime

from concierge_calls.backend import ENDING, RINGING
from concierge_calls.forecast import forecast, limits, where
from concierge_calls.run import Run


def forecast_notes(run: Run) -> list[str]:
    """Return the sentences; none where nobody would be called, and of a simulated run, in which no phone rings."""
    settings = run.settings
    if run.simulated:
        return []
    planned = forecast(
        run.result().results,
        now=datetime.now().astimezone(),
        max_concurrent=settings.max_concurrent,
        start_interval=settings.start_interval,
        call_timeout=settings.call_timeout,
        longest_call=RINGING + settings.call_timeout + ENDING,
        analysis_timeout=settings.analysis_timeout,
        rate=run.cost_a_minute(),
    )
    return [*where(planned), *limits(planned)] if planned.called else []
