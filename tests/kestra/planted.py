"""The command as a flow's task, with a fault planted in it; see `tests.crashes.planted` for all the others."""

from __future__ import annotations

import os

import httpx

from concierge_calls import caller, handed
from concierge_calls.__main__ import main
from concierge_calls.cli import kestra_child
from concierge_calls.journal import RunRecord
from concierge_calls.kestra import child
from concierge_calls.kestra.markers import Markers
from concierge_calls.vapi import connection
from tests.crashes.planted import NAP, OTHERS, POINTS, after, plant


def bug() -> None:
    """Have the planning of a part go wrong as nobody foresaw."""

    def broken(*_: object) -> None:
        raise RuntimeError("planted")

    handed._planned = broken  # type: ignore[assignment]


def lasting() -> None:
    """Give ten minutes to every reply, to those in flight at the end, and to the whole end.

    So whoever waits for a reply gets it, and is seen. The product gives them thirty seconds, ten, and not quite two,
    which a machine that is busy may need for the rest alone.
    """
    limits = [vars(module)["LEAVING_LIMIT"] for module in (caller, child)]
    if (limits, connection._TIMEOUT.read, kestra_child.LATEST) != ([10.0, 10.0], 30.0, 1.8):
        raise SystemExit("How long a child may wait is no longer said by LEAVING_LIMIT, _TIMEOUT and LATEST.")
    for module in (caller, child):
        vars(module)["LEAVING_LIMIT"] = NAP
    connection._TIMEOUT = httpx.Timeout(NAP)  # type: ignore[misc]
    kestra_child.LATEST = NAP


def unhurried() -> None:
    """Give what a task has to put in order half a minute where the product gives it a second, as a disk may be slow.

    No more than that: where this is planted a reply takes a minute, and whoever waits for it is to be seen.
    """
    if child.GRACE != 1.0:
        raise SystemExit("How long a task that is told to stop may take is no longer said by GRACE.")
    child.GRACE = 30.0


POINTS["after_marker"] = lambda strike: after(Markers, "put", strike)
POINTS["after_plan"] = lambda strike: after(RunRecord, "add", strike, lambda _: True)
OTHERS |= {"bug": bug, "lasting": lasting, "unhurried": unhurried}

if __name__ == "__main__":
    for each in os.environ["PLANTED"].split(","):
        plant(each)
    main()
