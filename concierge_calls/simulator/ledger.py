"""The truth about what happened, kept apart from what Vapi's own interface shows: who was rung, when, how often."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from concierge_calls.simulator.account import Account
from concierge_calls.simulator.calls import Call

KINDS: Final = (
    "create",
    "get",
    "list",
    "delete",
    "update",
    "control",
    "phone-number",
    "assistant",
    "recording",
    "storage",
    "other",
)


@dataclass(slots=True)
class Requests:
    """How many requests came, by kind, by UTC minute and by what they were answered."""

    kinds: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(KINDS, 0)))
    minutes: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    keys_shown_to_storage: int = 0

    def arrive(self, kind: str, moment: float) -> int:
        """Count a request that arrives at `moment` (Vapi's clock), and return how many came in that UTC minute."""
        minute = f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%MZ}"
        self.kinds[kind] += 1
        self.minutes[minute] += 1
        return self.minutes[minute]


def ledger(account: Account, requests: Requests) -> dict[str, Any]:
    """Return `GET /ledger`; moments are seconds since the epoch in Vapi's clock (skew included), or null.

    `rang` counts the calls of a number that rang; `peak` and `live` count the calls on the line, which is from an
    accepted create until the end, without those that wait for a line.
    """
    with account.lock:
        account.catch_up()
        numbers: dict[str, dict[str, Any]] = {}
        for call in account.created:
            entry = numbers.setdefault(call.number, {"rang": 0, "calls": []})
            entry["rang"] += call.rang is not None
            entry["calls"].append(_entry(call))
        return {
            "numbers": numbers,
            "peak": account.peak,
            "live": account.live,
            "requests": dict(requests.kinds),
            "requestsByMinute": dict(requests.minutes),
            "statuses": dict(requests.statuses),
            "keysShownToStorage": requests.keys_shown_to_storage,
        }


def _entry(call: Call) -> dict[str, Any]:
    return {
        "id": call.id,
        "key": call.key,
        "extension": (call.body.get("customer") or {}).get("extension"),
        "status": call.status,
        "createdAt": call.created,
        "rangAt": call.rang,
        "answeredAt": call.answered,
        "endedAt": call.ended,
        "endedReason": call.reason,
        "analysedAt": call.analysed,
        "erased": call.erased,
        "dueDuration": call.talk if call.is_answered() else 0.0,
    }
