"""The command with a fault planted in it: it kills or stops itself at a named point, or has a promise taken out.

Run as `PLANTED=before_id:3,hurried python planted.py batch providers.csv`. A point is followed by which time it is
passed there, and by `:stop` where it stands still there until it is told to go on; the others stand alone. The product
knows nothing of any of it.
"""

from __future__ import annotations

import inspect
import io
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import wraps
from typing import Any

from concierge_calls import dialer
from concierge_calls.__main__ import main
from concierge_calls.journal import Attempt, Claim, RunRecord, opening, transitions
from concierge_calls.journal.guards import Guard
from concierge_calls.journal.rows import load_request
from concierge_calls.models import CallState, EventKind, Reason
from concierge_calls.output import Output
from concierge_calls.vapi.client import VapiClient
from concierge_calls.vapi.clock import VapiClock
from concierge_calls.vapi.following import Pace
from concierge_calls.wire import Wire

Strike = Callable[[], None]

NAP = 600.0  # seconds; well past a call's own deadline: a minute of ringing, five of talk, half a minute
MOVES = ("placed", "progressed", "withdrawing", "ended", "settled", "refused", "uncertain", "void")


def striking(nth: int, number: int = signal.SIGKILL) -> Strike:
    """Return what kills this process, as the kernel would, the n-th time it is called; or stops it."""
    left = nth

    def strike() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), number)

    return strike


def after(owner: Any, name: str, strike: Strike, counts: Callable[[Any], object] = lambda _: True) -> None:
    """Strike when this has returned something that counts, and before anybody has seen it."""
    real = getattr(owner, name)

    @wraps(real)
    def called(*arguments: Any, **more: Any) -> Any:
        value = real(*arguments, **more)
        if counts(value):
            strike()
        return value

    @wraps(real)
    async def awaited(*arguments: Any, **more: Any) -> Any:
        value = await real(*arguments, **more)
        if counts(value):
            strike()
        return value

    setattr(owner, name, awaited if inspect.iscoroutinefunction(real) else called)


def before(owner: Any, name: str, strike: Strike) -> None:
    """Strike instead of calling this."""
    real = getattr(owner, name)

    @wraps(real)
    def called(*arguments: Any, **more: Any) -> Any:
        strike()
        return real(*arguments, **more)

    setattr(owner, name, called)


def sent(strike: Strike) -> None:
    """Strike when a create's last byte has left."""
    real = Wire.__call__

    async def heard(wire: Wire, event: str, info: Any) -> None:
        await real(wire, event, info)
        if event.endswith("send_request_body.complete"):
            strike()

    Wire.__call__ = heard  # type: ignore[assignment, method-assign]


def half_a_document(strike: Strike) -> None:
    """Strike when half of the document has been written."""
    real = Output.write

    def write(output: Output, writer: Callable[[Any], object]) -> None:
        def half(file: Any) -> None:
            whole = io.StringIO()
            writer(whole)
            file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
            file.flush()
            strike()

        real(output, half)

    Output.write = write  # type: ignore[assignment, method-assign]


def dials(claim: Any) -> bool:
    """Whether a claim is an intent to dial."""
    return claim.attempt is not None


# By the table of crash points: what is on the disk, and what Vapi knows, when the process dies there.
POINTS: dict[str, Callable[[Strike], None]] = {
    "before_intent": lambda strike: after(transitions, "claim", strike, dials),  # 1: within the transaction
    "after_intent": lambda strike: after(RunRecord, "claim", strike, dials),  # 2: before any byte
    "sent": sent,  # 3: the reply is not read
    "before_id": lambda strike: after(VapiClient, "create_call", strike),  # 4: the reply is read
    "id_uncommitted": lambda strike: after(transitions, "placed", strike),  # 4: within the transaction
    "after_id": lambda strike: after(RunRecord, "placed", strike),  # 5
    "before_delete": lambda strike: after(RunRecord, "withdrawing", strike),  # it is to be taken back, and was not yet
    "delete_sent": lambda strike: after(VapiClient, "delete_call", strike),  # it was taken back, and not read back yet
    "end_uncommitted": lambda strike: after(transitions, "ended", strike),  # 6: the end is seen
    "after_end": lambda strike: after(RunRecord, "ended", strike),  # 6: the analysis is awaited
    "result_uncommitted": lambda strike: after(transitions, "settled", strike),  # 6: the analysis is there
    "after_result": lambda strike: after(RunRecord, "settled", strike),  # 7
    "before_document": lambda strike: before(Output, "write", strike),  # 7: every result is committed
    "half_a_document": half_a_document,  # 8
    "before_rename": lambda strike: before(os, "replace", strike),  # 8: the new file is whole
    "after_rename": lambda strike: after(os, "replace", strike),  # 8
    "unseen": lambda strike: after(dialer.Dialer, "_look", strike, lambda found: not found),  # 12: the list lags
}


def hurried() -> None:
    """Give up looking for a call in doubt after five seconds, where the product takes two minutes."""
    if len(dialer.LOOK_AFTER) != 6:
        raise SystemExit("How long a call in doubt is looked for is no longer said by LOOK_AFTER.")
    dialer.LOOK_AFTER = (1.0, 3.0, 5.0)  # type: ignore[assignment]


def impatient() -> None:
    """Take back a call that waits for a line after half a second, where the product gives it thirty."""
    Pace.__init__.__kwdefaults__["blocked"] = 0.5  # type: ignore[index]


def hasty() -> None:
    """Wait for a journal that another process holds an instant at a time, where the product takes a minute."""
    if opening.BUSY_SECONDS != 60.0:
        raise SystemExit("How long a journal that is held is waited for is no longer said by BUSY_SECONDS.")
    opening.BUSY_SECONDS = 0.2


def sleeper() -> None:
    """Have SIGUSR1 let ten minutes pass in this process, as if it had been stopped for so long."""
    real, slept = time.monotonic, 0.0

    def monotonic() -> float:
        return real() + slept

    def sleep(*_: object) -> None:
        nonlocal slept
        slept += NAP

    time.monotonic = monotonic
    VapiClock.__init__.__kwdefaults__["monotonic"] = monotonic  # type: ignore[index]
    signal.signal(signal.SIGUSR1, sleep)


def silent() -> None:
    """Take away the promise that a document is written in the end."""

    def write(output: Output, writer: Callable[[Any], object]) -> None:
        """Write nothing, and say nothing of it."""

    Output.write = write  # type: ignore[assignment, method-assign]


def forgetful() -> None:
    """Take away the promise that doubt is never dialled again: what was being dialled is put back."""
    real = RunRecord.unfinished

    async def unfinished(record: RunRecord) -> list[Attempt]:
        left = await real(record)
        for attempt in left:
            if attempt.state is CallState.DIALING:
                await record.void(attempt, Reason("forgotten", "A broken program takes it for never sent."))
        return [attempt for attempt in left if attempt.state is not CallState.DIALING]

    RunRecord.unfinished = unfinished  # type: ignore[assignment, method-assign]


def reversed_order() -> None:
    """Turn round the order of writing: an intent is committed together with what came of its request."""
    taken: set[int] = set()
    written: dict[int, Attempt] = {}

    def claim(db: sqlite3.Connection, run_id: str, at: datetime, now: datetime, guard: Guard) -> Claim:
        sql = "SELECT idx, request FROM rows WHERE run_id = ? AND state = 'pending' ORDER BY idx"
        free = [row for row in db.execute(sql, (run_id,)).fetchall() if row["idx"] not in taken]
        if not free:
            return Claim(attempt=None)
        index, request = free[0]
        taken.add(index)
        attempt = Attempt(
            id=-1 - index,  # no id of the journal's: it knows nothing yet
            run_id=run_id,
            ordinal=1,
            key=f"{run_id}-{index}-1",
            state=CallState.DIALING,
            asked=load_request(index, request, None),
            dialed_at=at,
        )
        event = replace(transitions.last_event(db), index=index, kind=EventKind.CALL_DIALING)
        return Claim(attempt=attempt, event=event)

    def known(db: sqlite3.Connection, attempt: Attempt, now: datetime) -> Attempt:
        if attempt.id not in written:
            new = transitions.new_attempt(db, attempt.run_id, attempt.asked, attempt.dialed_at, now)
            transitions.move_row(db, new, (CallState.PENDING,), CallState.DIALING, now)
            written[attempt.id] = new
        return written[attempt.id]

    def late(real: Callable[..., Any]) -> Callable[..., Any]:
        def moved(db: sqlite3.Connection, *, attempt: Attempt, now: datetime, **facts: Any) -> Any:
            return real(db, attempt=attempt if attempt.id > 0 else known(db, attempt, now), now=now, **facts)

        return moved

    for name in MOVES:
        setattr(transitions, name, late(getattr(transitions, name)))
    transitions.claim = claim


OTHERS: dict[str, Callable[[], None]] = {
    "hurried": hurried,
    "impatient": impatient,
    "hasty": hasty,
    "silent": silent,
    "sleeper": sleeper,
    "forgetful": forgetful,
    "reversed": reversed_order,
}


def plant(what: str) -> None:
    """Plant one fault, as the variable names it."""
    name, colon, when = what.partition(":")
    if colon:
        nth, stops, _ = when.partition(":stop")
        POINTS[name](striking(int(nth), signal.SIGSTOP if stops else signal.SIGKILL))
    else:
        OTHERS[name]()


if __name__ == "__main__":
    for each in os.environ["PLANTED"].split(","):
        plant(each)
    main()
