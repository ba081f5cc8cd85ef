"""One provider's row of a file, as it was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from concierge_calls.models import Reason


@dataclass(slots=True)
class Row:
    """A line of a table or of JSON lines, or an item of a JSON array."""

    line: int  # where the row begins, the file's first line being 1; of a JSON array, the item's number from 1
    values: Mapping[str, str] = field(repr=False)  # our field -> its text, for each field that has a column
    extra: dict[str, Any] = field(repr=False)  # every other column, as it came
    fault: Reason | None = None  # why the row cannot be read
    unit: str = "line"  # what `line` counts: "line" or "item"

    @property
    def where(self) -> str:
        """The row's place for a message, such as `line 7` or `item 3`."""
        return f"{self.unit} {self.line}"
