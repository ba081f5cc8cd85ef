"""What the command is compared with: a library, a semaphore, and a question for each call at each tick.

Started by `calls.py` in a process of its own (peer.py aiohttp|httpx|vapi PROVIDERS LINES POLL OUTPUT); it keeps no
journal and writes the bodies of the ended calls at its end. httpx and Vapi's own SDK have the pool that they come with;
aiohttp has no limit.
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
from typing import Any, NamedTuple

Row = dict[str, str]


class Known(NamedTuple):
    """What is known of a call."""

    id: str
    has_ended: bool
    is_analysed: bool
    body: Any


class Vapi(NamedTuple):
    """How a library places a call with somebody, and asks for a call."""

    place: Callable[[Row], Awaitable[Known]]
    ask: Callable[[str], Awaitable[Known]]


@asynccontextmanager
async def by_aiohttp() -> AsyncIterator[Vapi]:
    """Yield a client of aiohttp."""
    aiohttp: Any = importlib.import_module("aiohttp")  # installed by the extra `bench` alone
    async with aiohttp.ClientSession(headers=authorized(), connector=aiohttp.TCPConnector(limit=0)) as session:

        async def send(method: str, url: str, body: Any = None) -> Any:
            async with session.request(method, url, json=body) as response:
                return await response.json()

        yield by_json(send)


@asynccontextmanager
async def by_httpx() -> AsyncIterator[Vapi]:
    """Yield a client of httpx."""
    import httpx

    async with httpx.AsyncClient(headers=authorized(), timeout=60) as client:

        async def send(method: str, url: str, body: Any = None) -> Any:
            return (await client.request(method, url, json=body)).json()

        yield by_json(send)


@asynccontextmanager
async def by_vapi() -> AsyncIterator[Vapi]:
    """Yield a client of Vapi's own SDK."""
    vapi: Any = importlib.import_module("vapi")  # installed by the extra `bench` alone
    client = vapi.AsyncVapi(token=os.environ["VAPI_API_KEY"], base_url=os.environ["VAPI_BASE_URL"])

    async def place(row: Row) -> Known:
        return known(
            await client.calls.create(
                name=row["name"],
                phone_number_id=os.environ["VAPI_PHONE_NUMBER_ID"],
                assistant_id=os.environ["VAPI_ASSISTANT_ID"],
                customer=vapi.CreateCustomerDto(number=row["phone"], name=row["name"]),
                assistant_overrides=vapi.AssistantOverrides(variable_values=told(row)),
            )
        )

    async def ask(identifier: str) -> Known:
        return known(await client.calls.get(identifier))

    def known(call: Any) -> Known:
        return Known(call.id, call.status == "ended", call.analysis is not None, call)

    yield Vapi(place, ask)


def by_json(send: Callable[..., Awaitable[Any]]) -> Vapi:
    """Return what places and asks with a library that sends JSON."""
    url = f"{os.environ['VAPI_BASE_URL']}/call"

    async def place(row: Row) -> Known:
        asked = {
            "name": row["name"],
            "phoneNumberId": os.environ["VAPI_PHONE_NUMBER_ID"],
            "assistantId": os.environ["VAPI_ASSISTANT_ID"],
            "customer": {"number": row["phone"], "name": row["name"]},
            "assistantOverrides": {"variableValues": told(row)},
        }
        return known(await send("POST", url, asked))

    async def ask(identifier: str) -> Known:
        return known(await send("GET", f"{url}/{identifier}"))

    def known(call: Any) -> Known:
        return Known(call["id"], call["status"] == "ended", "analysis" in call, call)

    return Vapi(place, ask)


def authorized() -> dict[str, str]:
    """Return the header with the key."""
    return {"Authorization": f"Bearer {os.environ['VAPI_API_KEY']}"}


def told(row: Row) -> dict[str, str]:
    """Return what the assistant is told of somebody."""
    return {"provider_name": row["name"], "service_needed": row["service"]}


async def call(vapi: Vapi, lines: asyncio.Semaphore, poll: float, row: Row) -> Any:
    """Place one call and ask for it until its analysis is there."""
    async with lines:
        known = await vapi.place(row)
        while not known.has_ended:
            await asyncio.sleep(poll)
            known = await vapi.ask(known.id)
    while not known.is_analysed:
        await asyncio.sleep(poll)
        known = await vapi.ask(known.id)
    return known.body


async def call_all(library: str, rows: list[Row], limit: int, poll: float) -> list[Any]:
    """Call everybody, at most so many at once."""
    lines = asyncio.Semaphore(limit)
    async with {"aiohttp": by_aiohttp, "httpx": by_httpx, "vapi": by_vapi}[library]() as vapi:
        return await asyncio.gather(*(call(vapi, lines, poll, row) for row in rows))


def main() -> None:
    """Call everybody in the file and write what came of it."""
    library, file, limit, poll, output = sys.argv[1:]
    with Path(file).open(newline="") as table:
        rows = list(csv.DictReader(table))
    bodies = asyncio.run(call_all(library, rows, int(limit), float(poll)))
    Path(output).write_text(json.dumps(bodies, default=lambda body: json.loads(body.json())))


if __name__ == "__main__":
    main()
