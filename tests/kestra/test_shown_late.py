"""Where Kestra shows a call only once it is over, that is said before anybody is dialled."""

from __future__ import annotations

import pytest

from concierge_calls.kestra.client import KestraClient
from concierge_calls.kestra.dialect import Dialect
from concierge_calls.kestra.flow import FlowKind
from concierge_calls.kestra.schemas import Server
from concierge_calls.kestra.server import Ready

AT_ITS_END = "Kestra 2 shows a call only once it is over; until then who is being called counts as not yet called."
AT_THE_END = (
    "A flow of one task tells of its calls only once all are over: until then they count as not yet called, and Ctrl-C"
    " leaves those in doubt of whom Vapi shows no call."
)


@pytest.mark.parametrize(
    ("dialect", "kind", "said"),
    [
        (Dialect.V0, FlowKind.FAN_OUT, ()),
        (Dialect.V1, FlowKind.FAN_OUT, ()),
        (Dialect.V2, FlowKind.FAN_OUT, (AT_ITS_END,)),
        (Dialect.V0, FlowKind.ONE_TASK, (AT_THE_END,)),
        (Dialect.V1, FlowKind.ONE_TASK, (AT_THE_END,)),
        (Dialect.V2, FlowKind.ONE_TASK, (AT_THE_END,)),
    ],
)
def test_what_a_server_does_not_show_of_its_calls_is_said(
    dialect: Dialect, kind: FlowKind, said: tuple[str, ...]
) -> None:
    ready = Ready(client=KestraClient("http://127.0.0.1:9"), server=Server("1.0.0", dialect), kind=kind)

    assert ready.shows_late == said
