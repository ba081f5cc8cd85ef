"""The installed command as a subprocess, and a Vapi on a loopback port whose ledger is believed, not us."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from concierge_calls.simulator import Simulator, SimulatorOptions
from tests.environment import KEY, NUMBER, at_vapi, nobody_listens, without_ours

COMMAND = str(Path(sys.executable).with_name("concierge-calls"))
LONGEST = 120.0  # seconds until a command counts as hung, also on a machine that is slow or busy; no test waits for it

SIMULATED = (
    "name,phone,service,criteria,rating",
    "Blue Ridge,(864) 555-0100 ext. 12,plumbing,licensed,4.8",
    "Reedy River,864.555.0115,plumbing,licensed,",
    "Falls Park,+1 864 555 0126,plumbing,insured,4.1",
    "Haywood,8645550137,plumbing,,3.9",
    "Blue Ridge again,864-555-0100,plumbing,,",
    "Odd,none,plumbing,,",
)

MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
CALL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
RUN = re.compile(r"\d{8}-[a-z2-9]{8}")
STYLE = re.compile(r"\x1b\[[0-9;]*m")
LENGTH = re.compile(r"\b\d+:\d\d\b")
LOCAL = re.compile(r"\b\d\d:\d\d(?:-\d\d:\d\d)?(?: (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b)?(?: [!?])?")
DAY = re.compile(r" \((?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day[^)]*\)")
AT_TIMES = re.compile("It (is|may be) outside |This is a warning|The last call may go on |Vapi has not answered yet")
SPOKEN = 40.0  # simulated seconds after which both sides have said something
COST = re.compile(r"\$\d+\.\d\d\.")


def steady(text: str) -> list[str]:
    """Return the lines without colours, with all replaced or left out that differs by run, by the hour or by pace."""
    text = CALL.sub("CALL", RUN.sub("RUN", MOMENT.sub("WHEN", STYLE.sub("", text))))
    text = COST.sub("COST.", LENGTH.sub("M:SS", LOCAL.sub("M:SS", DAY.sub("", text))))
    return [line.rstrip() for line in text.splitlines() if not AT_TIMES.match(line)]


@dataclass(frozen=True)
class Finished:
    """A command that has ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What stdout holds, which must be one JSON document and nothing else."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """The lines of stderr with all replaced or left out that differs from run to run, by the hour or by pace."""
        return steady(self.err)

    @property
    def said(self) -> str:
        """The one sentence of stderr."""
        assert self.err.startswith("concierge-calls: ")
        return self.err.removeprefix("concierge-calls: ").removesuffix("\n")


class Running:
    """A command that goes on; what it says is read as it comes."""

    def __init__(self, process: subprocess.Popen[str], out: IO[str]) -> None:
        self.process = process
        self.heard = ""
        self._out = out
        self._patience = threading.Timer(LONGEST, process.kill)
        self._patience.daemon = True
        self._patience.start()

    def until(self, words: str) -> None:
        """Read stderr until a line has these words."""
        assert self.process.stderr is not None
        while line := self.process.stderr.readline():
            self.heard += line
            if words in line:
                return
        pytest.fail(f"{words!r} was never said, but: {self.heard}")

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Do what Ctrl-C does."""
        self.process.send_signal(number)

    def finish(self) -> Finished:
        """Wait for the end."""
        assert self.process.stderr is not None
        rest = self.process.stderr.read()  # not by communicate, which passes over what was read ahead by `until`
        code = self.process.wait(LONGEST)
        self._out.seek(0)
        return Finished(code, self._out.read(), self.heard + rest)

    def close(self) -> None:
        """End it, if it has not ended, and close what is read from it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self._patience.cancel()
        self._out.close()


class Concierge:
    """Runs the command in the test's own folder and environment."""

    def __init__(self, scratch: Path) -> None:
        self.running: list[Running] = []
        self._scratch = scratch

    def __call__(self, *arguments: str, environ: dict[str, str] | None = None, **more: Any) -> Finished:
        """Run the command to its end; stdin is empty unless `input` is given."""
        if "input" not in more:
            more.setdefault("stdin", subprocess.DEVNULL)
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | more
        env = {**os.environ, **(environ or {})}
        done = subprocess.run([COMMAND, *arguments], env=env, timeout=LONGEST, check=False, **more)
        return Finished(done.returncode, done.stdout or "", done.stderr or "")

    def start(self, *arguments: str, prefix: tuple[str, ...] = (), **more: Any) -> Running:
        """Begin the command, perhaps by another that becomes it, and leave it running."""
        out = (self._scratch / f"stdout-{len(self.running)}").open("w+")
        process = subprocess.Popen(
            [*prefix, COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )
        self.running.append(Running(process, out))
        return self.running[-1]

    def shell(self, script: str, **more: Any) -> Finished:
        """Run a line of bash in which $COMMAND is the command."""
        env = {**os.environ, "COMMAND": COMMAND}
        done = subprocess.run(
            ["/bin/bash", "-c", script], env=env, capture_output=True, text=True, timeout=LONGEST, check=False, **more
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def close(self) -> None:
        """End what a test has left running."""
        for each in self.running:
            each.close()


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Concierge]:
    """The installed command."""
    concierge = Concierge(tmp_path)
    yield concierge
    concierge.close()


def wait_until(holds: Callable[[], object]) -> None:
    """Return as soon as this holds."""
    pause, patience = threading.Event(), int(LONGEST / 0.005)
    assert any(holds() or pause.wait(0.005) for _ in range(patience))


class Vapi:
    """A simulator that the command takes for the real Vapi; its ledger says whose phone rang."""

    def __init__(self, simulator: Simulator) -> None:
        self.options = simulator.options
        self._simulator = simulator

    @property
    def rang(self) -> dict[str, int]:
        """How often each number rang."""
        return {number: entry["rang"] for number, entry in self._simulator.ledger()["numbers"].items()}

    @property
    def ledger(self) -> Any:
        """The whole truth."""
        return self._simulator.ledger()

    @property
    def asked(self) -> dict[str, int]:
        """How many requests of each kind there were, once whoever sent any is gone and none is on its way."""
        server, _ = self._simulator._running or pytest.fail("It has stopped.")
        httpx.get(f"{self._simulator.url}/ledger", trust_env=False, timeout=LONGEST)  # let in after everybody else
        wait_until(lambda: not (server.server_state.connections or server.server_state.tasks))
        return self.ledger["requests"]  # type: ignore[no-any-return]

    def hang_up(self, number: str) -> None:
        """Let the other side end its call once both have spoken, for which Vapi itself has no request."""
        account = self._simulator._account

        def ended() -> bool:
            with account.lock:
                [call] = [call for call in account.created if call.number == number]
                now = account.catch_up()
                if call.answered is None or (now - call.answered) * call.speed < SPOKEN:
                    return False
                account._schedule(now, call, "end", "customer-ended-call")
                return True

        wait_until(ended)

    def wait_for(self, number: str) -> None:
        """Return as soon as this number's phone rings."""
        wait_until(lambda: self.rang.get(number))


@pytest.fixture
def vapi(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vapi]:
    """A Vapi many times faster than life, and an environment in which it is the real one."""
    with Simulator(SimulatorOptions(speed=300.0)) as simulator:
        for name, value in at_vapi(simulator.url).items():
            monkeypatch.setenv(name, value)
        yield Vapi(simulator)


@pytest.fixture(scope="session", autouse=True)
def out_of_reach(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A run against a port where nobody is, begun before everything else, since it takes ten seconds to give up."""
    folder = tmp_path_factory.mktemp("out-of-reach")
    (folder / "providers.csv").write_text("name,phone,service\nBlue Ridge,(864) 555-0106,plumbing\n")
    env = {
        **without_ours(),
        "CONCIERGE_STATE_DIR": str(folder / "state"),
        "VAPI_API_KEY": KEY,
        "VAPI_PHONE_NUMBER_ID": NUMBER,
    }
    concierge = Concierge(folder)
    with nobody_listens() as url:
        yield concierge.start("batch", "providers.csv", env=env | {"VAPI_BASE_URL": url}, cwd=folder)
        concierge.close()


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[], int]:
    """Count the runs in the journals, drafts too, by asking the database itself."""

    def count() -> int:
        found = 0
        for path in (tmp_path / "state").glob("*.db"):
            with closing(sqlite3.connect(path)) as journal:
                found += journal.execute("SELECT count(*) FROM runs").fetchone()[0]
        return found

    return count


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One simulated run with an ending of each kind, made once, and how to ask about it afterwards."""
    folder = tmp_path_factory.mktemp("simulated")
    (folder / "providers.csv").write_text("\n".join(SIMULATED) + "\n")
    environ = {"CONCIERGE_STATE_DIR": str(folder / "state"), "HOME": str(folder)}
    concierge = Concierge(folder)

    def ask(*arguments: str, **more: Any) -> Finished:
        return concierge(*arguments, environ=environ | more.pop("environ", {}), cwd=folder, **more)

    ask.finished = ask("batch", "providers.csv", "--simulate", "--urgency", "today", "--max-concurrent", "3")  # type: ignore[attr-defined]
    ask.state = folder / "state"  # type: ignore[attr-defined]
    return ask


@pytest.fixture
def providers(clean_environment: Path) -> Any:
    """Write a providers file into the working folder and return its name."""

    def write(*rows: str, header: str = "name,phone,service", name: str = "providers.csv") -> str:
        (clean_environment / name).write_text("\n".join((header, *rows)) + "\n")
        return name

    return write
