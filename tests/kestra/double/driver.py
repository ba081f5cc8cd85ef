"""How a test speaks with a double: in plain HTTP, and behind its back."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from tests.kestra.double.options import PASSWORD, USER

NAMESPACE = "ai_concierge"
TLS = ssl.create_default_context()  # made once: each of httpx's own would cost more than the requests here
LONGEST = 330.0  # seconds until a reply counts as never; no test waits for it


class Driver:
    """Speaks with the double at an address, in one dialect."""

    def __init__(self, url: str, dialect: str, *, user: str = USER, password: str = PASSWORD) -> None:
        self.url = url
        self.dialect = dialect
        self.root = f"{url}/api/v1" if dialect == "0" else f"{url}/api/v1/main"
        self._auth = httpx.BasicAuth(user, password)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request below the API's root."""
        return httpx.request(method, f"{self.root}{path}", auth=self._auth, timeout=LONGEST, verify=TLS, **more)

    def deploy(self, source: str) -> httpx.Response:
        """Create a flow, or update the one that is there."""
        flow_id = next(line for line in source.splitlines() if line.startswith("id: ")).removeprefix("id: ")
        body = {"content": source, "headers": {"Content-Type": "application/x-yaml"}}
        reply = self.ask("PUT", f"/flows/{NAMESPACE}/{flow_id}", **body)
        return self.ask("POST", "/flows", **body) if reply.status_code == 404 else reply

    def start(
        self,
        flow_id: str,
        inputs: Mapping[str, str],
        files: Mapping[str, bytes] | None = None,
        labels: Sequence[str] = (),
        **query: Any,
    ) -> httpx.Response:
        """Start an execution, in one multipart request."""
        parts: dict[str, Any] = {name: (None, value) for name, value in inputs.items()}
        parts |= {name: (name, content) for name, content in (files or {}).items()}
        return self.ask(
            "POST", f"/executions/{NAMESPACE}/{flow_id}", files=parts, params={"labels": list(labels), **query}
        )

    def execution(self, execution_id: str) -> Any:
        """Return an execution as it stands."""
        return self.ask("GET", f"/executions/{execution_id}").json()

    def over(self, execution_id: str) -> Any:
        """Wait for an execution's end, and return it."""
        self._behind(f"over/{execution_id}")
        return self.execution(execution_id)

    def kill(self, execution_id: str) -> httpx.Response:
        """Kill an execution."""
        path = "actions/kill?isOnKillCascade=true" if self.dialect == "2" else "kill"
        return self.ask("DELETE", f"/executions/{execution_id}/{path}")

    def begun(self, number: int) -> list[Any]:
        """Wait until so many children have begun, and return the ledger's lines about children."""
        lines: list[Any] = self._behind(f"begun/{number}")["children"]
        return lines

    def ledger(self) -> Any:
        """Return how many POSTs have started an execution, and what became of which child, in order."""
        return self._behind("ledger")

    def peak(self) -> int:
        """Return the greatest number of children that ran at once."""
        living = most = 0
        for line in self.ledger()["children"]:
            living += 1 if line["event"] == "start" else -1
            most = max(most, living)
        return most

    def next_starts(self, *become: str) -> None:
        """Say what becomes of the next POSTs that start an execution.

        `answered`; `lost` (started, and the connection dropped), `gateway` (started, and a 502), `refused` (a 502,
        and nothing started).
        """
        self._behind("starts", method="POST", content=json.dumps({"starts": become}))

    def _behind(self, path: str, *, method: str = "GET", **more: Any) -> Any:
        return (
            httpx.request(method, f"{self.url}/double/{path}", timeout=LONGEST, verify=TLS, **more)
            .raise_for_status()
            .json()
        )
