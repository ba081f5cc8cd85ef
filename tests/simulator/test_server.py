"""The simulator as a thing that runs: its port, its thread, its silence, and the foreground command."""

import asyncio
import gc
import json
import logging
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from concierge_calls.simulator import ENDINGS, Simulator, SimulatorOptions, app

FOREGROUND = """
from concierge_calls.simulator import SimulatorOptions, run
run(SimulatorOptions(speed=1000), 0, lambda url: print(url, flush=True))
print("ended")
"""


def test_it_listens_on_loopback_only(vapi: Any) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", vapi.simulator.url)


def test_a_taken_port_is_an_oserror() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            Simulator(port=taken.getsockname()[1]).start()


def test_it_can_be_stopped_while_a_reply_is_due_and_its_ledger_is_still_there(start: Any) -> None:
    vapi = start(create_delay=3600)
    failed: list[str] = []

    def create() -> None:
        try:
            vapi.create()
        except httpx.HTTPError as error:
            failed.append(type(error).__name__)

    waiting = threading.Thread(target=create)
    waiting.start()
    while not vapi.simulator.ledger()["numbers"]:
        vapi.simulator.ledger()
    vapi.simulator.stop()
    waiting.join()
    assert failed or vapi.simulator.ledger()["statuses"]
    assert vapi.simulator.ledger()["numbers"].keys() == {"+13125550100"}
    assert "simulator" not in [each.name for each in threading.enumerate()]


def test_one_that_is_stopped_as_somebody_connects_leaves_no_connection_open() -> None:
    for _ in range(20):
        with Simulator() as simulator, ExitStack() as peers:
            port = int(simulator.url.rsplit(":", 1)[1])
            for _ in range(5):
                peers.enter_context(socket.create_connection(("127.0.0.1", port)))
            simulator.stop()
    gc.collect()  # what is left open is said then, which fails the test


def test_one_whose_other_end_reads_nothing_more_is_stopped_all_the_same() -> None:
    with (
        Simulator(SimulatorOptions(speed=1000.0)) as simulator,
        httpx.Client(base_url=simulator.url, trust_env=False) as client,
    ):
        headers = {"Authorization": "Bearer any"}
        client.get("/call", headers=headers)
        with socket.create_connection(("127.0.0.1", int(simulator.url.rsplit(":", 1)[1]))) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            deaf.sendall(
                b"GET /call?limit=1000 HTTP/1.1\r\nHost: simulator\r\nAuthorization: Bearer any\r\n\r\n" * 5000
            )
            simulator.stop()
    gc.collect()


def test_one_that_was_stopped_comes_back_at_the_same_address_with_its_calls(start: Any) -> None:
    vapi = start()
    identifier = vapi.placed()["id"]
    url = vapi.simulator.url
    vapi.simulator.stop()
    with pytest.raises(httpx.TransportError):
        vapi.client.get("/call")
    vapi.simulator.start()
    assert vapi.simulator.url == url
    assert vapi.ended(identifier)["id"] == identifier


def test_two_run_side_by_side_and_know_nothing_of_each_other(start: Any) -> None:
    first, second = start(), start()
    first.placed()
    assert (len(first.list()), len(second.list())) == (1, 0)


def test_it_logs_nothing_and_leaves_the_process_loggers_alone(start: Any, caplog: pytest.LogCaptureFixture) -> None:
    before = {name: (logging.getLogger(name).level, logging.getLogger(name).handlers) for name in ("uvicorn.access",)}
    with caplog.at_level(logging.DEBUG, logger="uvicorn"):
        vapi = start(lose_replies=1.0)
        with pytest.raises(httpx.RemoteProtocolError):
            vapi.create()
        vapi.simulator.stop()
    assert [each.message for each in caplog.records if each.name.startswith("uvicorn")] == []
    assert before == {name: (logging.getLogger(name).level, logging.getLogger(name).handlers) for name in before}


def test_the_app_answers_by_itself() -> None:
    transport = httpx.ASGITransport(app(SimulatorOptions()))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get("/ledger")

    assert asyncio.run(ask()).json()["peak"] == 0


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_in_the_foreground_a_signal_ends_it_quietly(ending: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", FOREGROUND], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert httpx.get(f"{url}/ledger", trust_env=False).json()["live"] == 0
        process.send_signal(ending)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "ended\n", "")


def test_importing_it_loads_neither_the_server_nor_the_rest_of_the_project() -> None:
    code = "import sys, json, concierge_calls.simulator; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert not {"uvicorn", "starlette", "asyncio", "httpx"} & set(loaded)
    code = "import sys, concierge_calls.simulator.app, concierge_calls.simulator.serving as _; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    ours = {each for each in loaded if each.startswith("concierge_calls.")}
    assert ours == {each for each in ours if each.startswith("concierge_calls.simulator")}


def test_every_digit_has_its_sentence() -> None:
    assert list(ENDINGS) == list("0123456789")
    assert all(ENDINGS.values())
