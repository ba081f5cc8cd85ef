"""A simulator on a port of its own for each test, and a plain HTTP client that speaks Vapi's JSON to it."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import httpx
import pytest

from concierge_calls.simulator import Simulator, SimulatorOptions

KEY = {"Authorization": "Bearer a-key"}
TRIES = 50_000
SLOW = 0.001  # the speed of calls that do nothing by themselves while a test looks at them; `later` has them go on
TLS = ssl.create_default_context()  # made once: it is never used, yet each client would make its own
FACTS = {
    "provider_name": "Ace Plumbing",
    "service_needed": "plumbing",
    "user_criteria": "licensed and insured",
    "location": "Greenville SC",
    "urgency": "within_24_hours",
    "problem_description": "The kitchen sink leaks",
    "client_name": "Dana",
}


class Vapi:
    """A running simulator and a client with a key; what it returns is JSON as it came."""

    def __init__(self, simulator: Simulator, client: httpx.Client) -> None:
        self.simulator = simulator
        self.options = simulator.options
        self.client = client

    def body(self, number: str = "+13125550100", **more: Any) -> dict[str, Any]:
        """Return a create that Vapi takes; `more` replaces its top-level properties."""
        plain = {
            "phoneNumberId": "a-number",
            "assistantId": "an-assistant",
            "customer": {"number": number},
            "assistantOverrides": {"variableValues": FACTS},
        }
        return plain | more

    def create(self, number: str = "+13125550100", **more: Any) -> httpx.Response:
        """Ask for a call."""
        return self.client.post("/call", json=self.body(number, **more))

    def placed(self, number: str = "+13125550100", **more: Any) -> dict[str, Any]:
        """Return the call that was created, which it must have been."""
        reply = self.create(number, **more)
        assert reply.status_code == 201, reply.text
        created: dict[str, Any] = reply.json()
        return created

    def get(self, identifier: str) -> dict[str, Any]:
        """Return the call as `GET /call/{id}` shows it."""
        found: dict[str, Any] = self.client.get(f"/call/{identifier}").json()
        return found

    def list(self, **parameters: Any) -> list[dict[str, Any]]:
        """Return what `GET /call` shows."""
        reply = self.client.get("/call", params=parameters)
        assert reply.status_code == 200, reply.text
        found: list[dict[str, Any]] = reply.json()
        return found

    def later(self, seconds: float) -> None:
        """Let so many seconds go by in Vapi's clock, at once."""
        self.simulator._account._began += seconds

    def until(self, identifier: str, fits: Callable[[dict[str, Any]], object], every: float = 0.0) -> dict[str, Any]:
        """Ask again until the call fits, after so many seconds in Vapi's clock each time."""
        for _ in range(TRIES):
            if fits(call := self.get(identifier)):
                return call
            self.later(every)
        raise AssertionError(f"never came: {call}")

    def ended(self, identifier: str) -> dict[str, Any]:
        """Return the call once it has ended."""
        return self.until(identifier, lambda call: call["status"] == "ended")

    def settled(self, identifier: str) -> dict[str, Any]:
        """Return the call once its analysis has come."""
        return self.until(identifier, lambda call: "analysis" in call)

    def entry(self, number: str = "+13125550100") -> dict[str, Any]:
        """Return the last call of a number as the ledger has it."""
        found: dict[str, Any] = self.simulator.ledger()["numbers"][number]["calls"][-1]
        return found


def _client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers=KEY, trust_env=False, timeout=30, verify=TLS)


class Start(Protocol):
    """Starts a simulator with these options."""

    def __call__(self, **options: Any) -> Vapi: ...


@pytest.fixture
def start() -> Iterator[Start]:
    """Start simulators, 500 times as fast as life unless told otherwise, and stop them after the test."""
    with ExitStack() as stack:

        def begin(**options: Any) -> Vapi:
            simulator = stack.enter_context(Simulator(SimulatorOptions(**{"speed": 500.0, **options})))
            client = stack.enter_context(_client(simulator.url))
            return Vapi(simulator, client)

        yield begin


@pytest.fixture
def vapi(start: Start) -> Vapi:
    """A simulator without a fault."""
    return start()
