"""Calls providers for a Python program, which is told of each call as its result comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from concierge_calls import plan
from concierge_calls.beginning import drafted
from concierge_calls.draft import PYTHON, Order, rows_of
from concierge_calls.models import CallEvent, CallResult, CallStatus, EventKind, Provider, RunResult, ServiceRequest
from concierge_calls.observers import Observer, OnError, harmless

OnComplete = Callable[[CallResult, int], object]


async def call_providers(
    providers: Iterable[Provider],
    request: ServiceRequest | None = None,
    *,
    max_concurrent: int | None = None,
    on_call_complete: OnComplete | None = None,
    on_call_error: OnError | None = None,
    observer: Observer | None = None,
    simulate: bool = False,
    allow_redial: bool = False,
    **options: Any,
) -> RunResult:
    """Call every provider, at most `max_concurrent` at once, and return what they answered, in their order.

    `on_call_complete(result, index)` is called once for each call when its result is final,
    `on_call_error(error, request, index)` for one that could not be placed; one that raises is logged and harms
    nobody. Other settings go by their names (`call_timeout`, `start_interval`, `record`, …); what is not given is
    read from the environment. Raises ConciergeError when nobody could be dialled.
    """
    from concierge_calls.settings.fields import SETTINGS
    from concierge_calls.settings.loading import load

    if unknown := options.keys() - SETTINGS.keys():
        raise TypeError(
            f"call_providers() knows no option {', '.join(sorted(unknown))}; its options are named as the settings are."
        )
    settings = load({"max_concurrent": max_concurrent, **options}, program=True)
    order = Order(
        rows=rows_of(providers),
        source=PYTHON,
        typed=plan.typed_fields(request) if request is not None else {},
        simulate=simulate,
        allow_redial=allow_redial,
    )

    watch = harmless(observer) if observer is not None else None

    def tell(event: CallEvent) -> None:
        if watch is not None:
            watch(event)
        result = event.result
        if on_call_complete and result is not None and _is_final(event):
            on_call_complete(result, result.index)

    async with drafted(order, settings) as run, run.connected():
        return await run.start(tell, on_error=on_call_error)


def _is_final(event: CallEvent) -> bool:
    # A call that could not be placed is told as an error, and one in doubt may still be found.
    result = event.result
    settled = event.kind is EventKind.CALL_SETTLED and result is not None and result.call_id is not None
    return settled and result is not None and result.status is not CallStatus.UNCERTAIN
