"""Vapi's endedReason by a table of all published ones: what it concludes, for the call and for those to come."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from concierge_calls.backend import Fault, Stage, Verdict
from concierge_calls.models import Reason

UNKNOWN: Final = "unknown"

# A reason that is newer than the table is read by how it begins, the longest beginning first (Vapi: call-ended-reason).
_PREFIXES: Final = {
    "assistant-ended-call-": "A completed",
    "assistant-not-": "J config-stop",
    "assistant-request-": "J config-stop",
    "call.ending.hook-executed-": "A completed",
    "call.forwarding.": "A3 transfer-edge",
    "call.in-progress.error-configfault-": "J config-stop",
    "call.in-progress.error-pipeline-": "M1 midcall-fault-transient",
    "call.in-progress.error-providerfault-": "M1 midcall-fault-transient",
    "call.in-progress.error-providerfault-outbound-sip-": "L connect-failed",
    "call.in-progress.error-sip-outbound-": "L connect-failed",
    "call.in-progress.error-vapifault-": "M1 midcall-fault-transient",
    "call.in-progress.error-warm-transfer-": "A3 transfer-edge",
    "call.ringing.": "O not-outbound-pstn",
    "call.start.": "K start-transient",
    "call.start.error-subscription-": "I account-stop",
    "customer-ended-call-": "A3 transfer-edge",
    "pipeline-": "M1 midcall-fault-transient",
    "sip-outbound-": "L connect-failed",
}
_REFUSED: Final = re.compile(r"-40[0-4]-|-429-|quota|auth|api-key|payment|upgrade|no-available|not-found")

_IN_A_ROW: Final = "Three calls in a row ended alike, so nobody else is dialled: {what} Vapi's reason: {reason}."


@dataclass(frozen=True, slots=True)
class Group:
    """What a group of reasons concludes; `conversation` is left to who spoke."""

    concludes: str
    analysis: bool = False  # Vapi may have something to analyse
    verdict: Verdict = Verdict.FINAL
    code: str = ""
    message: str = ""
    stops: bool = False  # every other call would end so
    repeated: str = ""  # what three in a row mean, and what to mend
    before: Stage = Stage.IN_PROGRESS  # what it keeps a call from

    def reason(self, ended_reason: str | None) -> Reason | None:
        """Why the call failed and what to do; None where it did not."""
        return (
            Reason(self.code, f"{self.message} Vapi's reason: {ended_reason or 'none given'}.") if self.code else None
        )


_UNKNOWN_GROUP: Final = Group(
    concludes="error",
    analysis=True,
    code="unknown_reason",
    message="The call ended in a way that is not known here. Look at it in Vapi's dashboard before calling again.",
    repeated="in a way that is not known here. Look at them in Vapi's dashboard, and mend what you find there.",
)


def group(ended_reason: str | None) -> str:
    """The name of the group a reason belongs to, such as `A completed`; `unknown` when nothing tells."""
    if not ended_reason:
        return UNKNOWN
    return _table()[1].get(ended_reason) or _by_prefix(ended_reason)


def conclusion(ended_reason: str | None) -> Group:
    """What the reason's group concludes."""
    return _table()[0].get(group(ended_reason), _UNKNOWN_GROUP)


def verdict(ended_reason: str | None) -> Verdict:
    """What the reason means for the row; only a published reason ever lets a row be dialled again."""
    if ended_reason == "scheduled-call-deleted":
        return Verdict.WITHDRAWN
    groups, reasons = _table()
    found = reasons.get(ended_reason or "", UNKNOWN)
    # The others of that group may come after the phone rang, so they stop the run, but their row is not dialled again.
    if found == "J config-stop" and not str(ended_reason).startswith("call.start."):
        return Verdict.FINAL
    return groups[found].verdict if found in groups else Verdict.FINAL


def fault(ended_reason: str | None) -> Fault | None:
    """What the reason says of the calls to come; None where it is about this call's number, or no fault at all."""
    known = conclusion(ended_reason)
    why = known.reason(ended_reason)
    if known.stops and why is not None:
        return Fault(reason=why, times=1, before=known.before)
    if not known.repeated:
        return None
    message = _IN_A_ROW.format(what=known.repeated, reason=ended_reason or "none given")
    return Fault(reason=Reason("repeated_failure", message), before=known.before)


@cache
def _table() -> tuple[dict[str, Group], dict[str, str]]:
    """Read the package's table once: group -> what it concludes, reason -> group."""
    text = resources.files(__package__).joinpath("ended_reasons.json").read_text("utf-8")
    groups: dict[str, Group] = {}
    reasons: dict[str, str] = {}
    for name, entry in json.loads(text)["groups"].items():
        reasons |= dict.fromkeys(entry.pop("reasons"), name)
        words = {key: kind(entry[key]) for key, kind in (("verdict", Verdict), ("before", Stage)) if key in entry}
        groups[name] = Group(**entry | words)
    return groups, reasons


def _by_prefix(ended_reason: str) -> str:
    for prefix in sorted(_PREFIXES, key=len, reverse=True):
        if ended_reason.startswith(prefix):
            found = _PREFIXES[prefix]
            refused = found == "M1 midcall-fault-transient" and _REFUSED.search(ended_reason)
            return "M2 midcall-config-or-quota" if refused else found
    return UNKNOWN
