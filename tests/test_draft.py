"""What is ordered of a run is what the journal is told of it."""

from __future__ import annotations

import pytest

from concierge_calls.draft import Order
from concierge_calls.models import Format
from concierge_calls.settings.loading import load


@pytest.mark.parametrize("format_", Format)
def test_the_documents_format_is_written_down_beside_its_place(format_: Format) -> None:
    order = Order(rows=(), source="providers.csv", output="doc", format=format_)
    new = order.new_run(load({}), "direct")

    assert (new.output, new.format) == ("doc", format_)
    assert Order(rows=(), source="providers.csv").new_run(load({}), "direct").format is Format.JSON
