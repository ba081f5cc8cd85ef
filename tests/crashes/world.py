"""A Vapi on a loopback port, the command as processes that may be killed, and the journal that they leave behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from concierge_calls.simulator import Simulator, SimulatorOptions
from tests.environment import at_vapi, without_ours

COMMAND = str(Path(sys.executable).with_name("concierge-calls"))
PLANTED = str(Path(__file__).with_name("planted.py"))
LONGEST = 240.0  # seconds until a command counts as hung: a call in doubt is looked for during two minutes
LIVE = ("dialing", "placed")

# Of a number the last digit decides how its call ends; 8 talks on to the limit and is left out.
NUMBERS = [f"+1864555{line:04}" for line in range(100, 200) if line % 10 != 8]


@dataclass(frozen=True)
class Left:
    """What a run's journal says when its process is gone."""

    run: str | None = None
    states: Counter[str] = field(default_factory=Counter)
    dialing: dict[str, str] = field(default_factory=dict)  # key of the attempt -> its number

    @property
    def counts(self) -> bool:
        """Whether the kill was one that matters: somebody's phone may have been ringing."""
        return any(self.states[state] for state in LIVE)


class Sitting:
    """One process that works on a run; what it says goes to files, so that it never waits for a reader."""

    def __init__(self, command: list[str], folder: Path, environ: dict[str, str]) -> None:
        self._out = tempfile.TemporaryFile("w+", dir=folder)  # noqa: SIM115 -- closed by `close`
        self._err = tempfile.TemporaryFile("w+", dir=folder)  # noqa: SIM115 -- closed by `close`
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._err, cwd=folder, env=environ
        )

    @property
    def said(self) -> str:
        """What it has said on stderr by now."""
        return _read(self._err.fileno())

    @property
    def wrote(self) -> str:
        """What it has written to stdout by now."""
        return _read(self._out.fileno())

    @property
    def document(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.wrote)

    def ends_within(self, seconds: float) -> bool:
        """Wait so long for the end, and return whether it came."""
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def finish(self) -> int:
        """Wait for the end and return the exit code; negative is the signal that it died of."""
        return self.process.wait(timeout=LONGEST)

    def tell(self, number: int) -> None:
        """Send a signal, to this process alone."""
        self.process.send_signal(number)

    @property
    def stands_still(self) -> bool:
        """Whether it has been stopped; told once."""
        return stands_still(self.process)

    def kill(self) -> None:
        """Do what an out-of-memory kill does, and wait until it is done."""
        self.tell(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """End it, if it has not ended, and close what it wrote to."""
        if self.process.poll() is None:
            self.kill()
        self._out.close()
        self._err.close()


def stands_still(process: subprocess.Popen[Any]) -> bool:
    """Tell whether a process of ours has been stopped; told once."""
    pid, status = os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG)
    return pid == process.pid and os.WIFSTOPPED(status)


class World:
    """A simulator, a file of providers and a state folder; everything in it is gone when the context ends."""

    def __init__(
        self, options: SimulatorOptions, *, providers: int, lines: int, environ: dict[str, str] | None = None
    ) -> None:
        self.numbers = NUMBERS[:providers]
        self.lines = lines
        self.simulator = Simulator(options)
        self.folder = Path()
        self.environ: dict[str, str] = {}
        self._more = environ or {}
        self._sittings: list[Sitting] = []

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="crashes-"))
        self.simulator.start()
        rows = (f"Provider {index},{number},plumbing" for index, number in enumerate(self.numbers))
        (self.folder / "providers.csv").write_text("\n".join(("name,phone,service", *rows)) + "\n")
        self.environ = without_ours() | self.settings | self._more
        return self

    def __exit__(self, *_exception: object) -> None:
        for sitting in self._sittings:
            sitting.close()
        self.simulator.stop()
        shutil.rmtree(self.folder)

    @property
    def settings(self) -> dict[str, str]:
        """The variables that make the simulator the real Vapi, and leave nothing to wait for but calls."""
        return at_vapi(self.simulator.url, poll=0.1) | {
            "CONCIERGE_STATE_DIR": str(self.folder / "state"),
            "VAPI_MAX_CONCURRENT_CALLS": str(self.lines),
        }

    @property
    def output(self) -> Path:
        """Where runs are told to write their document."""
        return self.folder / "out.json"

    def begin(self, *arguments: str, planted: str | None = None) -> Sitting:
        """Start the installed command, or the same with faults planted in it."""
        command = [COMMAND] if planted is None else [sys.executable, PLANTED]
        environ = self.environ | ({} if planted is None else {"PLANTED": planted})
        sitting = Sitting([*command, *arguments], self.folder, environ)
        self._sittings.append(sitting)
        return sitting

    def batch(self, *more: str, planted: str | None = None) -> Sitting:
        """Start a run of the whole file."""
        return self.begin("batch", "providers.csv", "-o", str(self.output), *more, planted=planted)

    def take_up(self, *, planted: str | None = None) -> Sitting:
        """Start what a user would start now: resume if a run has begun, else the batch again."""
        run = self.left().run
        return self.batch(planted=planted) if run is None else self.begin("resume", run, planted=planted)

    def document(self, run: str) -> Any:
        """Return the run's document as `show` writes it."""
        return json.loads(self.shown(run))

    def shown(self, run: str) -> str:
        """Return what `show` writes of the run."""
        shown = self.begin("show", run)
        assert shown.finish() == 0, shown.said
        return shown.wrote

    def left(self) -> Left:
        """Return what the journal says of the latest run that began.

        Nobody may be working on it. It is read from a copy, so that what a dead process left half done is found by the
        command that comes next.
        """
        with tempfile.TemporaryDirectory(dir=self.folder) as copy:
            for path in (self.folder / "state").glob("journal.db*"):
                shutil.copy(path, copy)
            return _read_journal(Path(copy) / "journal.db")

    def now(self) -> Left:
        """Return the same while somebody works on it."""
        return _read_journal(self.folder / "state" / "journal.db")

    def hang_up_everybody(self) -> None:
        """Let the other side end every call, for which Vapi itself has no request."""
        for number in self.numbers:
            self.hang_up(number)

    def hang_up(self, number: str) -> None:
        """Let the other side end the calls to this number."""
        account = self.simulator._account
        with account.lock:
            now = account.catch_up()
            for call in account.created:
                if call.number == number and call.ended is None:
                    account._schedule(now, call, "end", "customer-ended-call")

    def let_pass(self, seconds: float) -> None:
        """Have Vapi's clock jump, and everything happen that would have happened meanwhile."""
        with self.simulator._account.lock:
            self.simulator._account._began += seconds


def let_go(simulator: Simulator) -> None:
    """Have the calls that are stuck on the line go on to the end that they would have come to by themselves."""
    account = simulator._account
    with account.lock:
        now = account.catch_up()
        stuck, simulator.options.stuck = simulator.options.stuck, {}
        for call in account.created:
            if call.number in stuck and call.answered is not None and call.ended is None:
                account._schedule(max(now, call.answered + call.talk / call.speed), call, "end")


def until(condition: Callable[[], object], seconds: float = LONGEST) -> None:
    """Return as soon as the condition holds; fails after so many seconds."""
    pause, latest = threading.Event(), time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < latest, "it never came to that"
        pause.wait(0.005)


def _read_journal(path: Path) -> Left:
    if not path.exists():
        return Left()
    with closing(sqlite3.connect(path, timeout=60.0)) as journal:
        return _left(journal)


def _left(journal: sqlite3.Connection) -> Left:
    if not journal.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchall():
        return Left()
    latest = "SELECT id FROM runs WHERE NOT draft ORDER BY started_at DESC, id DESC LIMIT 1"
    for (run,) in journal.execute(latest).fetchall():
        states = "SELECT state, count(*) FROM rows WHERE run_id = ? GROUP BY state"
        dialing = "SELECT key, number FROM attempts WHERE run_id = ? AND state = 'dialing'"
        return Left(
            run=run,
            states=Counter(dict(journal.execute(states, (run,)).fetchall())),
            dialing=dict(journal.execute(dialing, (run,)).fetchall()),
        )
    return Left()


def _read(handle: int) -> str:
    return os.pread(handle, os.fstat(handle).st_size, 0).decode()
