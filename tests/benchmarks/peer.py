"""What the command is compared with: aiohttp, a semaphore, and a question for each call ten times a second.

Started by `calls.py` in a process of its own; it keeps no journal and writes the bodies of the ended calls at its end.
"""

from __future__ import annotations

import asyncio
import csv
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

aiohttp: Any = importlib.import_module("aiohttp")  # installed by the extra `bench` alone

POLL = 0.1


async def call(session: Any, lines: asyncio.Semaphore, url: str, row: dict[str, str]) -> Any:
    """Place one call and ask for it until its analysis is there."""
    asked = {
        "name": row["name"],
        "phoneNumberId": os.environ["VAPI_PHONE_NUMBER_ID"],
        "assistantId": os.environ["VAPI_ASSISTANT_ID"],
        "customer": {"number": row["phone"], "name": row["name"]},
        "assistantOverrides": {"variableValues": {"provider_name": row["name"], "service_needed": row["service"]}},
    }
    async with lines:
        async with session.post(f"{url}/call", json=asked) as response:
            known = await response.json()
        while known["status"] != "ended":
            known = await asked_for(session, url, known["id"])
    while "analysis" not in known:
        known = await asked_for(session, url, known["id"])
    return known


async def asked_for(session: Any, url: str, call_id: str) -> Any:
    """Wait, and ask for the call."""
    await asyncio.sleep(POLL)
    async with session.get(f"{url}/call/{call_id}") as response:
        return await response.json()


async def call_all(rows: list[dict[str, str]], limit: int) -> list[Any]:
    """Call everybody, at most so many at once."""
    lines = asyncio.Semaphore(limit)
    headers = {"Authorization": f"Bearer {os.environ['VAPI_API_KEY']}"}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:
        url = os.environ["VAPI_BASE_URL"]
        return await asyncio.gather(*(call(session, lines, url, row) for row in rows))


def main() -> None:
    """Call everybody in the file and write what came of it."""
    file, limit, output = sys.argv[1:]
    with Path(file).open(newline="") as table:
        rows = list(csv.DictReader(table))
    Path(output).write_text(json.dumps(asyncio.run(call_all(rows, int(limit)))))


if __name__ == "__main__":
    main()
