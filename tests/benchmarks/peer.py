"""What the command is compared with: aiohttp or httpx, a semaphore, and a question for each call at each tick.

Started by `calls.py` in a process of its own (peer.py aiohttp|httpx PROVIDERS LINES POLL OUTPUT); it keeps no journal
and writes the bodies of the ended calls at its end. httpx has the pool that it comes with; aiohttp has no limit.
"""

from __future__ import annotations

import asyncio
import csv
import importlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

Ask = Callable[..., Awaitable[Any]]


@asynccontextmanager
async def by_aiohttp(headers: dict[str, str]) -> AsyncIterator[Ask]:
    """Yield what sends a request and returns what was answered."""
    aiohttp: Any = importlib.import_module("aiohttp")  # installed by the extra `bench` alone
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(method: str, url: str, body: Any = None) -> Any:
            async with session.request(method, url, json=body) as response:
                return await response.json()

        yield ask


@asynccontextmanager
async def by_httpx(headers: dict[str, str]) -> AsyncIterator[Ask]:
    """Yield what sends a request and returns what was answered."""
    import httpx

    async with httpx.AsyncClient(headers=headers, timeout=60) as client:

        async def ask(method: str, url: str, body: Any = None) -> Any:
            return (await client.request(method, url, json=body)).json()

        yield ask


async def call(ask: Ask, lines: asyncio.Semaphore, poll: float, row: dict[str, str]) -> Any:
    """Place one call and ask for it until its analysis is there."""
    url = f"{os.environ['VAPI_BASE_URL']}/call"
    asked = {
        "name": row["name"],
        "phoneNumberId": os.environ["VAPI_PHONE_NUMBER_ID"],
        "assistantId": os.environ["VAPI_ASSISTANT_ID"],
        "customer": {"number": row["phone"], "name": row["name"]},
        "assistantOverrides": {"variableValues": {"provider_name": row["name"], "service_needed": row["service"]}},
    }
    async with lines:
        known = await ask("POST", url, asked)
        while known["status"] != "ended":
            await asyncio.sleep(poll)
            known = await ask("GET", f"{url}/{known['id']}")
    while "analysis" not in known:
        await asyncio.sleep(poll)
        known = await ask("GET", f"{url}/{known['id']}")
    return known


async def call_all(library: str, rows: list[dict[str, str]], limit: int, poll: float) -> list[Any]:
    """Call everybody, at most so many at once."""
    lines = asyncio.Semaphore(limit)
    by = {"aiohttp": by_aiohttp, "httpx": by_httpx}[library]
    async with by({"Authorization": f"Bearer {os.environ['VAPI_API_KEY']}"}) as ask:
        return await asyncio.gather(*(call(ask, lines, poll, row) for row in rows))


def main() -> None:
    """Call everybody in the file and write what came of it."""
    library, file, limit, poll, output = sys.argv[1:]
    with Path(file).open(newline="") as table:
        rows = list(csv.DictReader(table))
    Path(output).write_text(json.dumps(asyncio.run(call_all(library, rows, int(limit), float(poll)))))


if __name__ == "__main__":
    main()
