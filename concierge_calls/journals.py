"""The journals that are there: one of real runs, one of simulated ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from concierge_calls.errors import NoSuchRun
from concierge_calls.journal import Journal
from concierge_calls.models import RunResult
from concierge_calls.settings.folder import journal_path

if TYPE_CHECKING:
    from concierge_calls.settings.loading import Settings


@contextmanager
def journals(*, simulated: Iterable[bool] = (False, True)) -> Iterator[list[Journal]]:
    """Open the journals of these kinds that are there, to look something up in them."""
    with ExitStack() as opened:
        paths = [journal_path(simulated=kind) for kind in simulated]
        yield [opened.enter_context(Journal(path)) for path in paths if path.exists()]


def found(run_id: str, opened: Iterable[Journal]) -> tuple[Journal, RunResult]:
    """Return the run with this id and the journal it is in; raises NoSuchRun when it is in none of these."""
    for journal in opened:
        with suppress(NoSuchRun):
            return journal, journal.result(run_id)
    raise no_such_run(run_id)


def settings_of(journal: Journal, run_id: str) -> tuple[Settings, bool]:
    """Return the settings of a run, where what it was told when it began still holds, and whether it may redial.

    The key is the one that is set now. Raises NoSuchRun, and SettingsError when what is set now is wrong.
    """
    from concierge_calls.settings.loading import load

    told: dict[str, Any] = dict(journal.options(run_id))
    allow_redial = bool(told.pop("allow_redial", False))
    return load(told | {"max_concurrent": journal.result(run_id).run.max_concurrent}), allow_redial


def no_such_run(run_id: str) -> NoSuchRun:
    """Return the error for a real run that is not there, which says so if there is a simulated one of that id."""
    with journals(simulated=[True]) as opened:
        for journal in opened:
            with suppress(NoSuchRun):
                journal.result(run_id)
                return NoSuchRun(f"Run {run_id} was a simulated one, and its simulator is gone; start it again.")
    return NoSuchRun(f"There is no run {run_id} in the journal; see: concierge-calls runs.")
