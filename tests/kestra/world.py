"""A Kestra double whose workers have the command, a Vapi whose ledger is believed, and a client that goes there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from concierge_calls.simulator import Simulator, SimulatorOptions
from tests.crashes.world import COMMAND, Sitting, let_go, until
from tests.environment import at_vapi, without_ours
from tests.kestra.double.driver import Driver
from tests.kestra.double.options import PASSWORD, USER
from tests.kestra.double.server import Process

__all__ = ["TWELVE", "World", "until"]

# Of a number the last digit decides how its call ends: one of each, two of which talk until their limit, and one more.
TWELVE = [100, 101, 102, 103, 104, 105, 106, 107, 108, 118, 109, 110]


class World:
    """Everything that a run by Kestra needs; all of it is gone when the context ends."""

    def __init__(
        self, dialect: str, *arguments: str, lines: Sequence[int] = TWELVE, limit: int = 3, **options: Any
    ) -> None:
        """Have a Kestra of this dialect, with its own `arguments`, and a file of these fictional lines."""
        self.dialect = dialect
        self.limit = limit
        self.numbers = [f"+1864555{line:04}" for line in lines]
        self.simulator = Simulator(SimulatorOptions(**{"speed": 300.0, **options}))
        self.folder = Path()
        self._arguments = arguments
        self._sittings: list[Sitting] = []

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="by-kestra-"))
        self.simulator.start()
        self.kestra = Process(
            self.folder / "kestra", "--dialect", self.dialect, *self._arguments, environment=self._worker()
        )
        self.kestra.start()
        self.driver = Driver(self.kestra.url, self.dialect)
        self.write([(f"Provider {index}", number) for index, number in enumerate(self.numbers)])
        return self

    def __exit__(self, *exception: Any) -> None:
        for sitting in self._sittings:
            sitting.close()
        self.kestra.__exit__(*exception)
        self.simulator.stop()
        shutil.rmtree(self.folder)

    def write(self, rows: Sequence[tuple[str, str]]) -> None:
        """Write the providers file: names and phones."""
        import json

        providers = [{"name": name, "phone": phone, "service": "plumbing"} for name, phone in rows]
        (self.folder / "providers.json").write_text(json.dumps(providers))

    def let_go(self) -> None:
        """Have the calls that are stuck on the line go on to the end that they would have come to by themselves."""
        let_go(self.simulator)

    def _worker(self) -> dict[str, str]:
        path = f"{Path(COMMAND).parent}:{os.environ['PATH']}"
        return (
            without_ours()
            | at_vapi(self.simulator.url)
            | {"CONCIERGE_STATE_DIR": str(self.folder / "worker"), "PATH": path}
        )

    def environ(self, *, key: bool = True) -> dict[str, str]:
        """Return the client's environment, perhaps without a key for Vapi."""
        vapi = at_vapi(self.simulator.url)
        if not key:
            vapi = {name: value for name, value in vapi.items() if name not in ("VAPI_API_KEY", "VAPI_BASE_URL")}
        return (
            without_ours()
            | vapi
            | {
                "CONCIERGE_STATE_DIR": str(self.folder / "state"),
                "VAPI_MAX_CONCURRENT_CALLS": str(self.limit),
                "KESTRA_URL": self.kestra.url,
                "KESTRA_USERNAME": USER,
                "KESTRA_PASSWORD": PASSWORD,
            }
        )

    def begin(self, *arguments: str, key: bool = True, **environ: str) -> Sitting:
        """Start the installed command."""
        sitting = Sitting([COMMAND, *arguments], self.folder, self.environ(key=key) | environ)
        self._sittings.append(sitting)
        return sitting

    def batch(self, *more: str, via: str = "kestra", key: bool = True, **environ: str) -> Sitting:
        """Start a run of the whole file."""
        return self.begin("batch", "providers.json", "-o", "-", "--via", via, *more, key=key, **environ)

    # — the truth —

    @property
    def calls(self) -> Counter[str]:
        """How many calls each number was ever placed."""
        numbers = self.simulator.ledger()["numbers"]
        return Counter({number: len(entry["calls"]) for number, entry in numbers.items()})

    @property
    def rang(self) -> dict[str, int]:
        """How often each number rang."""
        return {number: entry["rang"] for number, entry in self.simulator.ledger()["numbers"].items()}

    @property
    def peak(self) -> int:
        """The greatest number of calls on the line at once, by Vapi's own ledger."""
        return int(self.simulator.ledger()["peak"])

    def children(self) -> list[Any]:
        """Return what became of which child, in order."""
        return list(self.driver.ledger()["children"])
