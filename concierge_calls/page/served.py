"""The pages of a server: the runs and how one is started, one run live, and the question for the token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from concierge_calls.journal import LineSpan
from concierge_calls.models import CallEvent, RunInfo, RunResult, RunStats
from concierge_calls.page.looks import hashed, template
from concierge_calls.page.run import run_facts

ROWS = 100  # whose calls are told whole on one page
URGENCIES = ("immediate", "within_24_hours", "within_1_week")  # beside the default


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One of the runs in the list."""

    run: RunInfo
    stats: RunStats
    state: str

    @property
    def done(self) -> int:
        """How many rows have their result."""
        return self.stats.total - self.stats.pending - self.stats.in_progress


def policy() -> str:
    """Return the content-security policy of these pages, which load nothing but what is in them."""
    return (
        f"default-src 'none'; style-src {hashed('page.css')}; script-src {hashed('page.js')}; connect-src 'self';"
        " img-src data:; media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def token_page(version: str) -> str:
    """Return the page that asks for the server's token; `version` is the program's, as on the other pages."""
    return _rendered("token.html", {"version": version})


def missing_page(version: str) -> str:
    """Return the page for whoever follows a link to a run that is not in the journal."""
    return _rendered("missing.html", {"version": version})


def home_page(runs: Sequence[Listed], *, most: int, simulated: bool, version: str) -> str:
    """Return the page on which a run is started, with the latest ones; at most `most` calls may be made at once."""
    facts = {"runs": runs, "most": most, "simulated": simulated, "urgencies": URGENCIES, "version": version}
    return _rendered("home.html", facts)


def live_page(
    result: RunResult,
    spans: Iterable[LineSpan],
    said: Iterable[str],
    live: Iterable[CallEvent],
    *,
    first: int,
    seq: int,
    goes_on: bool,
    recordings: str,
    version: str,
) -> str:
    """Return one run's page, with the rows from the index `first` on told whole.

    `said` are its closing sentences, `seq` is the number of its latest event, `live` are the events of its calls that
    are not settled; `recordings` is the address of a recording with `{index}` in it.
    """
    shown = result.results[first : first + ROWS]
    facts = run_facts(result, spans, said, shown, live=live, recordings=recordings)
    before = max(0, first - ROWS) if first else None
    after = first + ROWS if first + ROWS < result.stats.total else None
    return _rendered(
        "live.html", facts | {"goes_on": goes_on, "seq": seq, "before": before, "after": after, "version": version}
    )


def _rendered(name: str, facts: Mapping[str, Any]) -> str:
    return template(name).render(facts)
