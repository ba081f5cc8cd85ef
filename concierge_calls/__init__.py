"""Calls every provider in a file through Vapi, at most N at once.

A program imports from here and from nowhere else; what a name needs is loaded when the name is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # what typing says it is; to import that would double what --version costs
if TYPE_CHECKING:
    from concierge_calls.calling import call_providers
    from concierge_calls.errors import (
        AccountRefused,
        BackendUnreachable,
        ConciergeError,
        JournalError,
        NumberRefused,
        PlacementError,
        PlacementInDoubt,
        RunInterrupted,
        RunRefused,
        SettingsError,
        UsageError,
    )
    from concierge_calls.models import (
        Analysis,
        AnalysisStatus,
        CallEvent,
        CallMethod,
        CallRequest,
        CallResult,
        CallStatus,
        EventKind,
        Message,
        Provider,
        Reason,
        RunInfo,
        RunResult,
        RunStats,
        ServiceRequest,
    )

__version__ = "0.1.0"

__all__ = [
    "AccountRefused",
    "Analysis",
    "AnalysisStatus",
    "BackendUnreachable",
    "CallEvent",
    "CallMethod",
    "CallRequest",
    "CallResult",
    "CallStatus",
    "ConciergeError",
    "EventKind",
    "JournalError",
    "Message",
    "NumberRefused",
    "PlacementError",
    "PlacementInDoubt",
    "Provider",
    "Reason",
    "RunInfo",
    "RunInterrupted",
    "RunRefused",
    "RunResult",
    "RunStats",
    "ServiceRequest",
    "SettingsError",
    "UsageError",
    "__version__",
    "call_providers",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        from importlib import import_module

        # Each by itself, in this order: what a noun needs is little, what `calling` needs is nearly everything.
        for home in ("models", "errors", "calling"):
            module = import_module(f"{__name__}.{home}")
            if hasattr(module, name):
                globals()[name] = value = getattr(module, name)
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
