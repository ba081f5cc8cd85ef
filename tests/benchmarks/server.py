"""A Vapi for benchmarks: a bare asyncio protocol that answers from memory, so that it is never the bottleneck.

Started by the benchmarks in a process of its own; prints its address. A call's length is decided by its number alone.
What it shows follows from the time at which it is asked, so it has no timers. `GET /figures` tells what it has seen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
import uuid
import zlib
from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, urlsplit

RINGS, TALKS = 0.1, 0.3  # the shares of a call's length after which its phone rings and somebody takes it
LONGEST = 20.0  # seconds that the shares are taken of where a call is longer, since no phone rings for minutes
KEPT = 10.0  # seconds after its last change in which a call is looked through for the list


def length_of(number: str, least: float, most: float) -> float:
    """Return the seconds that a call to this number takes."""
    return least + (most - least) * zlib.crc32(number.encode()) / 0xFFFFFFFF


def written(moment: float) -> str:
    """Write a time as Vapi does."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Call:
    """One call, whose whole life is known from its beginning."""

    def __init__(self, asked: dict[str, Any], now: float, options: argparse.Namespace) -> None:
        self.id = str(uuid.uuid4())
        self.asked = asked
        length = length_of(asked["customer"]["number"], options.least, options.most)
        self.begun = now
        self.ended = now + length
        self.analysed = self.ended + options.analysis
        begins = min(length, LONGEST)
        self.steps: list[float] = [now, now + RINGS * begins, now + TALKS * begins, self.ended, self.analysed]
        self._frozen = options.frozen
        self._said = "word " * (options.said // 5)
        self._shown: dict[int, bytes] = {}

    def step(self, now: float) -> int:
        """Return how far it has come: queued, ringing, in progress, ended, analysed."""
        return sum(now >= each for each in self.steps) - 1

    def changed(self, now: float) -> float:
        """Return when it changed last, as Vapi says."""
        step = self.step(now)
        return self.steps[min(step, 3) if self._frozen else step]

    def shown(self, now: float) -> bytes:
        """Return it as it is now, in JSON."""
        step = self.step(now)
        if step not in self._shown:
            self._shown = {step: json.dumps(self._body(step, now), separators=(",", ":")).encode()}
        return self._shown[step]

    def forget(self, now: float) -> None:
        """Write it anew when somebody asks for it so late, since all that was said is a lot to keep."""
        if self.analysed < now - KEPT:
            self._shown = {}

    def _body(self, step: int, now: float) -> dict[str, Any]:
        status = ("queued", "ringing", "in-progress", "ended", "ended")[step]
        times = {"createdAt": written(self.begun), "updatedAt": written(self.changed(now))}
        body = {"id": self.id, "orgId": "org", "type": "outboundPhoneCall", "status": status, **times, **self.asked}
        body["monitor"] = {"controlUrl": f"http://127.0.0.1:9/live/{self.id}"}
        if step >= 2:
            body["startedAt"] = written(self.steps[2])
        if step >= 3:
            said = [{"role": "bot", "message": self._said, "secondsFromStart": 0.1}]
            body |= {"endedAt": written(self.ended), "endedReason": "customer-ended-call", "cost": 0.1}
            body["artifact"] = {"transcript": self._said, "messages": [*said, *said]}
        if step >= 4:
            data = {"availability": "available", "call_outcome": "positive"}
            body["analysis"] = {"summary": "They can come.", "structuredData": data, "successEvaluation": "true"}
        return body


class Account:
    """All calls, and what was asked for."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.calls: dict[str, Call] = {}
        self._recent: deque[Call] = deque()
        self.requests: Counter[str] = Counter()
        self.minutes: Counter[int] = Counter()

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        """Return the status and the body of an answer."""
        now, url = time.time(), urlsplit(target)
        if url.path == "/figures":
            return 200, json.dumps(self._figures()).encode()
        kind = f"{method} /{url.path.split('/')[1]}{'/{id}' if url.path.count('/') > 1 else ''}"
        self.requests[kind] += 1
        self.minutes[int(now // 60)] += 1
        if kind == "POST /call":
            call = Call(json.loads(body), now, self.options)
            self.calls[call.id] = call
            self._recent.append(call)
            return 201, call.shown(now)
        if kind == "GET /call":
            return 200, self._list(parse_qs(url.query), now)
        if kind != "GET /call/{id}":
            return 200, b'{"id":"benchmark","number":"+18645550100","name":"Benchmark"}'
        found = self.calls.get(url.path.split("/")[2])
        return (200, found.shown(now)) if found else (404, b'{"statusCode":404,"message":"not found"}')

    def _list(self, query: dict[str, list[str]], now: float) -> bytes:
        bounds = {name: datetime.fromisoformat(values[0]).timestamp() for name, values in query.items() if "At" in name}
        since, latest = bounds.get("updatedAtGe", 0.0), bounds.get("createdAtLe", now)
        fits = (call for call in self._candidates(since, now) if call.changed(now) >= since and call.begun <= latest)
        newest = sorted(fits, key=lambda call: call.begun, reverse=True)[: int(query.get("limit", ["100"])[0])]
        return b"[" + b",".join(call.shown(now) for call in newest) + b"]"

    def _candidates(self, since: float, now: float) -> Iterator[Call]:
        if since < now - KEPT:
            return iter(self.calls.values())
        over = sum(call.analysed < now - KEPT for call in self._recent)
        if over > len(self._recent) // 2:
            for call in self._recent:
                call.forget(now)
            self._recent = deque(call for call in self._recent if call.analysed >= now - KEPT)
        return iter(self._recent)

    def _figures(self) -> dict[str, Any]:
        return {
            "calls": [
                {"number": call.asked["customer"]["number"], "begun": call.begun, "ended": call.ended}
                for call in self.calls.values()
            ],
            "requests": dict(self.requests),
            "minutes": [self.minutes[minute] for minute in sorted(self.minutes)],
        }


class Connection(asyncio.Protocol):
    """One connection of a client, kept alive."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard += data
        while (end := self._heard.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._heard[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            whole = end + 4 + int(headers.get("content-length", 0))
            if len(self._heard) < whole:
                return
            body, self._heard = self._heard[end + 4 : whole], self._heard[whole:]
            method, target, _ = first.split(" ")
            status, answer = self._account.answer(method, target, body)
            head = (
                f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nDate: {formatdate(usegmt=True)}\r\n"
                f"Content-Length: {len(answer)}\r\n\r\n"
            )
            self._transport.write(head.encode() + answer)


async def serve(options: argparse.Namespace) -> None:
    """Serve until the process is ended."""
    account = Account(options)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(account), "127.0.0.1", 0, backlog=4096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve as the options say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--least", type=float, default=0.2, help="seconds of the shortest call")
    parser.add_argument("--most", type=float, default=2.0, help="seconds of the longest one")
    parser.add_argument("--analysis", type=float, default=0.0, help="seconds from the end to the analysis")
    parser.add_argument("--frozen", action="store_true", help="the analysis leaves updatedAt as it is")
    parser.add_argument("--said", type=int, default=200, help="bytes of a transcript")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
