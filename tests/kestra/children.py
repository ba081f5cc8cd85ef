"""Workers that run the installed command as a flow's tasks do, and a Vapi whose ledger says whom they rang."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import pytest

from concierge_calls.handed import call
from concierge_calls.kestra import outputs
from concierge_calls.kestra.child import Child
from concierge_calls.simulator import Simulator, SimulatorOptions
from tests.crashes.world import COMMAND, until
from tests.environment import at_vapi, without_ours

ROOT = Path(__file__).resolve().parent.parent.parent
LONGEST = 240.0  # seconds until a child counts as hung; no test waits for it
RUN = "20261124-abcdefgh"
OPTIONS = {
    "call_timeout": 300,
    "analysis_timeout": 120,
    "start_interval": 0.0,
    "record": False,
    "allow_redial": False,
    "max_concurrent": 1,
}
AVAILABLE, TODAY, LATER, NOBODY, ASKED = (f"+18645550{line}" for line in (100, 101, 102, 105, 174))


def provider(index: int, phone: str, **more: Any) -> dict[str, Any]:
    """Return a provider as an item has it."""
    return {"index": index, "name": f"Provider {index}", "phone": phone, "service_needed": "plumbing", **more}


def item(*phones: str, first: int = 0, place: int = 0, **options: Any) -> dict[str, Any]:
    """Return an item of these providers, in rows one after the other."""
    return item_of([provider(first + number, phone) for number, phone in enumerate(phones)], place=place, **options)


def item_of(
    providers: Sequence[Mapping[str, Any]], *, place: int = 0, run: str = RUN, **options: Any
) -> dict[str, Any]:
    """Return an item of these providers."""
    first = providers[0]["index"]
    return {
        "id": f"{run}-{first}",
        "run_id": run,
        "first": first,
        "place": place,
        "providers": list(providers),
        "options": OPTIONS | options,
    }


def as_base64(value: object) -> str:
    """Return the value as a flow hands it over in the environment."""
    return base64.b64encode(json.dumps(value).encode()).decode()


class Done:
    """A child that has ended: what Kestra reads of it."""

    def __init__(self, code: int, out: str, err: str, folder: Path) -> None:
        self.code = code
        self.out = out
        self.err = err
        self._folder = folder

    @property
    def results(self) -> list[dict[str, Any]]:
        """The outputs of the one line, which must be there once and alone."""
        assert (self.code, self.err) == (0, "")
        assert self.out.isascii()
        assert (self.out[:2], self.out[-3:], self.out.count("\n")) == ("::", "::\n", 1)
        outputs = json.loads(self.out[2:-3])["outputs"]
        assert list(outputs) == ["results"]
        return list(outputs["results"])

    @property
    def result(self) -> dict[str, Any]:
        """The only one."""
        [only] = self.results
        return only

    @property
    def statuses(self) -> list[str]:
        """How each stands."""
        return [result["status"] for result in self.results]

    @property
    def file(self) -> list[dict[str, Any]]:
        """The results in the file."""
        return list(json.loads((self._folder / "results.json").read_text())["results"])


class Started:
    """A child that goes on."""

    def __init__(self, command: list[str], folder: Path, environ: dict[str, str], **more: Any) -> None:
        self._folder = folder
        self._out = (folder / "stdout").open("w+")
        self._err = (folder / "stderr").open("w+")
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": self._out, "stderr": self._err, **more}
        self.process: subprocess.Popen[bytes] = subprocess.Popen(command, cwd=folder, env=environ, **streams)

    def tell(self, number: int = signal.SIGTERM) -> None:
        """Send the one signal that Kestra sends."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Do what an out-of-memory kill does."""
        self.process.kill()
        self.process.wait()

    def dies(self) -> None:
        """Wait until it has killed itself."""
        assert self.process.wait(timeout=LONGEST) == -signal.SIGKILL, (self._folder / "stderr").read_text()

    def finish(self) -> Done:
        """Wait for its end."""
        code = self.process.wait(timeout=LONGEST)
        out, err = (self._folder / "stdout").read_text(), (self._folder / "stderr").read_text()
        return Done(code, out, err, self._folder)

    def close(self) -> None:
        """End it, if it has not ended."""
        if self.process.poll() is None:
            self.kill()
        self._out.close()
        self._err.close()


class Workers:
    """A simulator, and workers with a state folder; everything is gone when the context ends."""

    def __init__(self, **options: Any) -> None:
        self.simulator = Simulator(SimulatorOptions(**{"speed": 3000.0, **options}))
        self.options = self.simulator.options
        self.folder = Path()
        self._started: list[Started] = []

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="children-"))
        self.simulator.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        for started in self._started:
            started.close()
        self.simulator.stop()
        shutil.rmtree(self.folder)

    @property
    def state(self) -> Path:
        """The state folder that the workers share."""
        return self.folder / "state"

    @property
    def environ(self) -> dict[str, str]:
        """A worker's environment."""
        vapi = at_vapi(self.simulator.url)
        return without_ours() | vapi | {"CONCIERGE_STATE_DIR": str(self.state), "CONCIERGE_CHILD_LINES": "1"}

    def start(
        self, handed: object, *arguments: str, planted: str = "", environ: Mapping[str, str] | None = None, **more: Any
    ) -> Started:
        """Begin a child in a folder of its own, with this item, and perhaps with a fault planted in it."""
        folder = Path(tempfile.mkdtemp(prefix="task-", dir=self.folder))
        given = {"CONCIERGE_CHILD_ITEM_B64": as_base64(handed)}
        if arguments:
            (folder / arguments[-1]).write_text(json.dumps(handed))
            given = {}
        command = [COMMAND] if not planted else [sys.executable, "-m", "tests.kestra.planted"]
        faults = {"PLANTED": planted, "PYTHONPATH": str(ROOT)} if planted else {}
        started = Started(
            [*command, "kestra", "child", *arguments],
            folder,
            self.environ | given | faults | dict(environ or {}),
            **more,
        )
        self._started.append(started)
        return started

    def run(self, handed: object, *arguments: str, **more: Any) -> Done:
        """Run a child to its end."""
        return self.start(handed, *arguments, **more).finish()

    def call(self, handed: object, *arguments: str, environ: Mapping[str, str] | None = None) -> Done:
        """Have a child work to its end in this process, which costs a fraction of the time."""
        folder = Path(tempfile.mkdtemp(prefix="task-", dir=self.folder))
        files = {argument.removeprefix("--"): folder / name for argument, name in pairwise(arguments)}
        for file in files.values():
            file.write_text(json.dumps(handed))
        given = {} if files else {"CONCIERGE_CHILD_ITEM_B64": as_base64(handed)}
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(os, "environ", self.environ | given | dict(environ or {}))
            child = Child(call, os.environ, of=files.get("item"), whole=files.get("file"))
            answer = asyncio.run(child.work())
            outputs.write(folder / outputs.RESULTS, answer.whole())
        return Done(0, outputs.line(answer.entries), "", folder)

    def command(self, *arguments: str) -> str:
        """Run another command on a worker, and return what it writes."""
        done = subprocess.run([COMMAND, *arguments], env=self.environ, capture_output=True, text=True, check=True)
        return done.stdout

    # — the truth —

    def calls(self, phone: str) -> list[dict[str, Any]]:
        """Return the number's calls, as the ledger has them."""
        entry = self.simulator.ledger()["numbers"].get(phone, {"calls": []})
        return list(entry["calls"])

    @property
    def keys(self) -> dict[str, list[str]]:
        """The keys of each number's calls."""
        numbers = self.simulator.ledger()["numbers"]
        return {number: [call["key"] for call in entry["calls"]] for number, entry in numbers.items()}

    def asked(self, kind: str) -> int:
        """Return how many requests of this kind came."""
        return int(self.simulator.ledger()["requests"][kind])

    def wait_for(self, phone: str) -> None:
        """Return as soon as the number has a call."""
        until(lambda: self.calls(phone))

    def talk(self, phone: str) -> None:
        """Return as soon as somebody talks on the line and a child knows it."""
        until(lambda: self.state_of(phone) == "in_progress")

    def hang_up(self, *phones: str) -> None:
        """Let the other side end every call, or those of these numbers, for which Vapi itself has no request."""
        account = self.simulator._account
        with account.lock:
            now = account.catch_up()
            for call in account.created:
                if call.ended is None and (not phones or call.number in phones):
                    account._schedule(now, call, "end", "customer-ended-call")

    def journals(self) -> list[Path]:
        """Return the children's journals."""
        return sorted(self.state.glob("children/*/journal.db"))

    def state_of(self, phone: str) -> str | None:
        """Return what the children's journals say last of the number's call."""
        found = [row for path in self.journals() for row in _rows(path, phone)]
        return found[-1] if found else None

    def opened(self) -> list[str]:
        """Return when each journal was opened last."""
        return [each for path in self.journals() for each in _column(path, "SELECT at FROM opened")]

    def markers(self) -> list[str]:
        """Return the marked keys."""
        return sorted(path.name for path in (self.state / "markers").glob("*"))

    def forget_journals(self) -> None:
        """Have the next start run where nothing is known but the markers."""
        shutil.rmtree(self.state / "children")


def _rows(path: Path, phone: str) -> list[str]:
    return _column(path, "SELECT coalesce(last_status, state) FROM attempts WHERE number = ?", phone)


def _column(path: Path, sql: str, *values: str) -> list[str]:
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=60.0)) as journal:
            return [str(value) for (value,) in journal.execute(sql, values)]
    except sqlite3.OperationalError:  # it is just being made
        return []
