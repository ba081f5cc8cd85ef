"""The command as a flow's task, with a fault planted in it; see `tests.crashes.planted` for all the others."""

from __future__ import annotations

import os

from concierge_calls import handed
from concierge_calls.__main__ import main
from concierge_calls.journal import RunRecord
from concierge_calls.kestra.markers import Markers
from tests.crashes.planted import OTHERS, POINTS, after, plant


def bug() -> None:
    """Have the planning of a part go wrong as nobody foresaw."""

    def broken(*_: object) -> None:
        raise RuntimeError("planted")

    handed._planned = broken  # type: ignore[assignment]


POINTS["after_marker"] = lambda strike: after(Markers, "put", strike)
POINTS["after_plan"] = lambda strike: after(RunRecord, "add", strike, lambda _: True)
OTHERS["bug"] = bug

if __name__ == "__main__":
    for each in os.environ["PLANTED"].split(","):
        plant(each)
    main()
