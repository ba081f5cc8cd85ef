"""The installed `serve` as a subprocess, asked over real HTTP, before a Vapi whose ledger is believed, not us."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from concierge_calls.api.running import Runs
from concierge_calls.draft import Order, rows_of
from concierge_calls.exchange import exchange
from concierge_calls.journal import Journal, Owner, RequestKey
from concierge_calls.models import Provider
from concierge_calls.settings.loading import load
from concierge_calls.simulator import Simulator, SimulatorOptions

COMMAND = str(Path(sys.executable).with_name("concierge-calls"))
KEY = "sk-0123-never-to-be-seen"
NUMBER = "11111111-1111-4111-8111-111111111111"
SECRET = "hush-hush"  # noqa: S105 -- it opens nothing
LONGEST = 60.0  # seconds until anything counts as hung; no test waits for it
IN_DOUBT = 240.0  # the same where a call in doubt may be looked for, which takes two minutes
PREFIX = "/api/v1"
WANTED = {"serviceNeeded": "plumbing", "userCriteria": "licensed", "location": "Greenville SC"}


def until(condition: Callable[[], object], seconds: float = LONGEST) -> None:
    """Return as soon as the condition holds; fails after so many seconds."""
    pause = threading.Event()
    assert any(condition() or pause.wait(0.01) for _ in range(int(seconds / 0.01))), "it never came to that"


def providers(*lines: int, area: int = 864) -> list[dict[str, str]]:
    """Return providers whose numbers end so; the last digit decides how their calls end."""
    return [{"name": f"Provider {line}", "phone": f"+1{area}555{line:04}"} for line in lines]


def batch(*lines: int, area: int = 864, **more: Any) -> dict[str, Any]:
    """Return the body of a batch."""
    return {"providers": providers(*lines, area=area), **WANTED, **more}


def encoded(text: str) -> str:
    """Return what a browser sends of a file."""
    return base64.b64encode(text.encode()).decode()


def order(*lines: int, key: str | None = None) -> Order:
    """Return what the service makes of a body."""
    found = [Provider(name=f"Provider {line}", phone=None, phone_given=f"+1864555{line:04}") for line in lines]
    request = None if key is None else RequestKey(key, "the same")
    return Order(rows=rows_of(found), source="api", typed={"service": "plumbing"}, owner=Owner.API, request=request)


def played(scenario: Callable[[Journal, Callable[..., Runs]], Any]) -> Any:
    """Return what comes of a scenario with a journal and the runs of a server."""

    async def play() -> Any:
        with Journal(load().journal_path(simulated=False)) as journal:
            async with exchange(load(), simulate=False) as shared:
                return await scenario(journal, lambda *waits: Runs(journal, shared, *waits))

    return asyncio.run(play())


class Served:
    """A server that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said = ""
        self._patience = threading.Timer(IN_DOUBT * 1.5, process.kill)
        self._patience.daemon = True
        self._patience.start()
        self.url = self._listens()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        self.client = httpx.Client(base_url=self.url + PREFIX, timeout=LONGEST, trust_env=False)

    def _listens(self) -> str:
        assert self.process.stderr is not None
        while line := self.process.stderr.readline():
            self.said += line
            if found := re.search(r"Listening on (\S+)", line):
                return found[1]
        pytest.fail(f"it never listened, but said: {self.said}")

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return self.client.post(path, json=body, headers={name.replace("_", "-"): headers[name] for name in headers})

    def begin(self, body: Any, **headers: str) -> str:
        """Begin a batch that goes on by itself, and return the run's id."""
        answer = self.post("/providers/batch-call", body, Prefer="respond-async", **headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["runId"])

    def document(self, run: str) -> Any:
        return self.client.get(f"/runs/{run}").json()

    def finished(self, run: str, seconds: float = LONGEST) -> Any:
        """Return the run's document once it is finished."""
        until(lambda: self.document(run)["run"]["finished"], seconds)
        return self.document(run)

    def tell(self, number: int) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(LONGEST)
        self._reading.join(LONGEST)
        return code

    def close(self) -> None:
        self._patience.cancel()
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reading.join(LONGEST)
        if self.process.stderr is not None:
            self.process.stderr.close()


class Vapi:
    """A simulator that the server takes for the real Vapi."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.options = simulator.options

    @property
    def rang(self) -> dict[str, int]:
        """How often each number rang."""
        return {number: entry["rang"] for number, entry in self.simulator.ledger()["numbers"].items()}

    @property
    def live(self) -> int:
        return int(self.simulator.ledger()["live"])

    @property
    def peak(self) -> int:
        return int(self.simulator.ledger()["peak"])

    @property
    def looks(self) -> int:
        """How often the list of calls was asked for."""
        return int(self.simulator.ledger()["requests"]["list"])

    def calls(self) -> list[Any]:
        """Every call that was ever created."""
        return [call for entry in self.simulator.ledger()["numbers"].values() for call in entry["calls"]]

    def sent(self) -> list[Any]:
        """What every create asked for."""
        return [call.body for call in self.simulator._account.created]

    def end(self, *numbers: str) -> None:
        """Let the other side end the calls to these numbers, or all, for which Vapi itself has no request."""
        account = self.simulator._account
        with account.lock:
            now = account.catch_up()
            for call in account.created:
                if call.ended is None and (not numbers or call.number in numbers):
                    account._schedule(now, call, "end", "customer-ended-call")


@pytest.fixture
def vapi(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vapi]:
    """A Vapi many times faster than life, and an environment in which it is the real one."""
    with Simulator(SimulatorOptions(speed=200.0)) as simulator:
        monkeypatch.setenv("VAPI_API_KEY", KEY)
        monkeypatch.setenv("VAPI_PHONE_NUMBER_ID", NUMBER)
        monkeypatch.setenv("VAPI_BASE_URL", simulator.url)
        monkeypatch.setenv("VAPI_START_INTERVAL", "0")
        monkeypatch.setenv("VAPI_POLL_INTERVAL", "0.05")
        monkeypatch.setenv("VAPI_MAX_REQUESTS_PER_MINUTE", "0")
        yield Vapi(simulator)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Vapi]]:
    """One server with its Vapi for all tests of a module that begin no run."""
    state = tmp_path_factory.mktemp("standing")
    with Simulator(SimulatorOptions(speed=200.0)) as simulator:
        ours = {
            "VAPI_API_KEY": KEY,
            "VAPI_PHONE_NUMBER_ID": NUMBER,
            "VAPI_BASE_URL": simulator.url,
            "CONCIERGE_STATE_DIR": str(state),
            "CONCIERGE_PUBLIC_URL": "https://calls.example/base",
            "VAPI_WEBHOOK_SECRET": SECRET,
        }
        server = Served(started((), {**os.environ, **ours}))
        yield server, Vapi(simulator)
        server.close()


def started(options: tuple[str, ...], environ: dict[str, str]) -> subprocess.Popen[str]:
    """Start the server."""
    return subprocess.Popen(
        [COMMAND, "serve", "--port", "0", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    )


@pytest.fixture
def serve(vapi: Vapi) -> Iterator[Callable[..., Served]]:
    """Start the server with these options and variables; what runs at the end of a test is killed, before its Vapi."""
    running: list[Served] = []

    def start(*options: str, **environ: str) -> Served:
        running.append(Served(started(options, {**os.environ, **environ})))
        return running[-1]

    yield start
    for each in running:
        each.close()


@pytest.fixture
def concierge() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run another command to its end."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )

    return run


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Return the status and the sentence of problem details, which must be whole."""
    details = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (details["type"], details["status"]) == ("about:blank", answer.status_code)
    return answer.status_code, details["detail"]


def faults(answer: httpx.Response) -> dict[str, str]:
    """Return field -> reason of a 400."""
    assert answer.status_code == 400, answer.text
    return {fault["field"]: fault["reason"] for fault in answer.json()["errors"]}


def streamed(answer: httpx.Response) -> list[Any]:
    """Return the events of a stream that has ended."""
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: ")]


TERM = signal.SIGTERM
