"""What a run hands to a flow: an item for each provider, or for each slice of them beyond a hundred."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from concierge_calls.kestra.dialect import Dialect
from concierge_calls.kestra.flow import FlowKind
from concierge_calls.models import CallRequest

MOST: Final = 100  # items of one execution; beyond so many children a ForEach weighs on the whole server

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a child keeps to, as its run was told; the times are seconds. No secret is among it."""

    call_timeout: float
    analysis_timeout: float
    start_interval: float
    record: bool = False
    allow_redial: bool = False
    assistant_id: str | None = None
    phone_number_id: str | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """What an execution is started with: the inputs that are text, and those that are files."""

    texts: Mapping[str, str]
    files: Mapping[str, bytes]


def items(run_id: str, requests: Iterable[CallRequest], *, limit: int, options: Options) -> list[dict[str, Any]]:
    """Return what each child of a run is to call: one provider, or beyond a hundred a slice, one after the other.

    There are at most a hundred items, and more only where that would leave some of the `limit` lines without one.
    Rows that are not to be called are left out, and so is what a provider does not have.
    """
    called = [asked for asked in requests if asked.skip is None]
    rows = rows_in_slice(len(called), limit)
    told = {**_known(asdict(options)), "max_concurrent": limit}
    slices = (called[start : start + rows] for start in range(0, len(called), rows))
    return [_item(run_id, place, each, told) for place, each in enumerate(slices)]


def rows_in_slice(total: int, limit: int) -> int:
    """Return how many of so many providers one child calls."""
    return max(1, min(math.ceil(total / MOST), total // limit))


def inputs(kind: FlowKind, dialect: Dialect, run_id: str, handed: Sequence[Item], *, limit: int) -> Inputs:
    """Return the inputs by which a flow is started with these items, `limit` calls at once.

    Kestra 2.x takes no more than 1 MB of inputs, so there they are a file: a line for each of a Loop's items.
    """
    texts = {"run_id": run_id, "max_concurrent": str(limit)}
    if dialect is not Dialect.V2:
        return Inputs({**texts, "providers": _text(handed)}, {})
    lines = kind is FlowKind.FAN_OUT
    text = "".join(f"{_text(item)}\n" for item in handed) if lines else _text(handed)
    return Inputs(texts, {"providers": text.encode()})


def _item(run_id: str, place: int, called: Sequence[CallRequest], told: Mapping[str, Any]) -> dict[str, Any]:
    first = called[0].index
    return {
        "id": f"{run_id}-{first}",
        "run_id": run_id,
        "first": first,
        "place": place,
        "providers": [_provider(asked) for asked in called],
        "options": dict(told),
    }


def _provider(asked: CallRequest) -> dict[str, Any]:
    provider, request = asked.provider, asked.request
    return _known(
        {
            "index": asked.index,
            "name": provider.name,
            "phone": provider.phone,
            "extension": provider.extension,
            "id": provider.id,
            "service_needed": request.service_needed,
            "user_criteria": request.user_criteria,
            "location": request.location,
            "urgency": request.urgency,
            "problem_description": request.problem_description,
            "client_name": request.client_name,
        }
    )


def _known(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _text(value: object) -> str:
    # ASCII, so that no letter of a name can end a line of JSON lines, or be read in another encoding.
    return json.dumps(value, separators=(",", ":"))
