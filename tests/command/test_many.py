"""Of many providers the best are named, and those that need a look; the others are counted."""

from __future__ import annotations

from typing import Any

ROWS = tuple(f"Provider {number},(864) 555-01{number:02},plumbing" for number in range(27))


def test_the_closing_summary_of_many_names_the_best_and_whoever_needs_a_look(
    command: Any, providers: Any, vapi: Any
) -> None:
    finished = command("batch", providers(*ROWS, "Odd,none,plumbing"), "--max-concurrent", "10")
    lines = finished.lines
    [best] = [number for number, line in enumerate(lines) if line.startswith("Who may come")]
    [others] = [number for number, line in enumerate(lines) if line.startswith("The others")]
    [all_] = [line for line in lines if line.startswith("Of all: ")]
    documents = finished.document["results"]
    available = [one for one in documents if one["analysis"]["structuredData"].get("availability") == "available"]

    assert finished.code == 3
    assert [line.split("  ")[0] for line in lines[best + 1 : best + 1 + len(available)]] == [
        one["provider"]["name"] for one in available
    ][:10]
    needy = [one["provider"]["name"] for one in documents if one["status"] in ("error", "timeout")]
    assert [line.split("  ")[0] for line in lines[others + 1 : others + 2 + len(needy)]] == [*needy, "Odd"]
    assert f"{len(available)} available" in all_
    assert "2 busy" in all_ or "3 busy" in all_


def test_where_nobody_who_was_spoken_with_can_come_that_is_said(command: Any, providers: Any, vapi: Any) -> None:
    finished = command("batch", providers("No,(864) 555-0104,plumbing", "Busy,(864) 555-0106,plumbing"))

    assert "Nobody can come." in finished.lines
    assert not any(line.startswith("Who may come") for line in finished.lines)
