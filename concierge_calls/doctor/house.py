"""What was found on this machine means for a run: the settings, the journal and the route."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from typing import Final
from urllib.parse import urlsplit

from concierge_calls import routing
from concierge_calls.doctor.check import Check, State, shown
from concierge_calls.doctor.facts import Disk, JournalFacts, SettingsFacts, UnfinishedRun
from concierge_calls.journal import to_resume
from concierge_calls.plain import count, masked
from concierge_calls.routing import Route
from concierge_calls.settings.fields import SETTINGS

MOST_NAMED: Final = 3  # runs, and calls
MB: Final = 1_000_000


def settings(found: SettingsFacts) -> Iterator[Check]:
    """Return a check where a setting is wrong, and one where the calls do not go to Vapi itself."""
    if found.faults:
        yield Check("settings", State.WRONG, masked(" ".join(found.faults)))
    if found.settings.base_url != SETTINGS["base_url"].default:
        host = urlsplit(found.settings.base_url).netloc
        sentence = f"The calls go to {host} instead of Vapi itself. If that is not meant, unset VAPI_BASE_URL."
        yield Check("address", State.WARNING, sentence)


def journal(found: JournalFacts, ended: Collection[str]) -> Check:
    """Return the journal's check; `ended` are the calls that would not end and have all the same."""
    if found.fault:
        return Check("journal", State.WRONG, found.fault.message)
    worth_a_look = [
        *_named([_unfinished(run) for run in found.unfinished if not run.is_worked_on], "runs"),
        *_named([_unwritten(run_id) for run_id in found.unwritten], "runs"),
        *_named([_unended(call.id, call.run_id) for call in found.unended if call.id not in ended], "calls"),
    ]
    running = [f"Run {run.id} is being worked on now." for run in found.unfinished if run.is_worked_on]
    kept = f"Runs are kept in {found.path}, by SQLite {sqlite3.sqlite_version}."
    lack = [_lack(found.disk)] if found.disk and found.disk.free < found.disk.wanted else []
    state = State.WRONG if lack else State.WARNING if worth_a_look else State.OK
    return Check("journal", state, " ".join((kept, *lack, *worth_a_look, *_named(running, "runs"))))


def _lack(disk: Disk) -> str:
    return (
        f"Its disk has {disk.free / MB:.1f} MB free, and a run of {count(disk.lines, 'line')} needs "
        f"{disk.wanted / MB:.1f} MB for what is said in its calls. "
        "Free some room, or set CONCIERGE_STATE_DIR to a folder on another disk."
    )


def _unfinished(run: UnfinishedRun) -> str:
    return f"{to_resume(f'Run {run.id} of {shown(run.source)} is unfinished; to finish it', run.id, run.left)}."


def _unwritten(run_id: str) -> str:
    return f"{to_resume(f'The document of run {run_id} was never written; to have it written', run_id, 0)}."


def _unended(call_id: str, run_id: str) -> str:
    return (
        f"Call {shown(call_id)} of run {run_id} did not end although it was hung up, and may still be on the line;"
        " look at it in Vapi's dashboard."
    )


def _named(sentences: list[str], what: str) -> list[str]:
    more = len(sentences) - MOST_NAMED
    return sentences if more <= 0 else [*sentences[:MOST_NAMED], f"So it is with {more:,} more {what}."]


def kestra(via: str, *, enabled: bool, has_address: bool) -> Iterator[Check]:
    """Return a check where somebody asks for the route by Kestra."""
    routes = routing.decide(via, typed=False, simulate=False, enabled=enabled)
    if Route.KESTRA not in routes:
        return
    may_go_directly = Route.DIRECT in routes
    if has_address:
        otherwise = " Where it cannot take a run, the calls go directly to Vapi." if may_go_directly else ""
        sentence = f"Runs go by Kestra.{otherwise} See whether it could take them: concierge-calls kestra check"
        yield Check("kestra", State.OK, sentence)
    else:
        so = "the calls go directly to Vapi" if may_go_directly else "nobody can be called"
        sentence = f"Runs are to go by Kestra, and KESTRA_URL is not set, so {so}. Set it to Kestra's address."
        yield Check("kestra", State.WARNING if may_go_directly else State.WRONG, sentence)
