"""What a server keeps on disk, so that one that is killed and started again knows it."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from tests.kestra.double.sources import Flow

Record = dict[str, Any]


class Store:
    """Flows with all their revisions, executions, files, and a ledger of the children that were started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("executions", "inputs", "files"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._ledger = folder / "children.jsonl"

    def flows(self) -> dict[tuple[str, str], list[Flow]]:
        """Return every flow's revisions, oldest first."""
        kept: dict[tuple[str, str], list[Flow]] = {}
        path = self._folder / "flows.json"
        for each in json.loads(path.read_text()) if path.exists() else []:
            flow = Flow(**each)
            kept.setdefault((flow.namespace, flow.id), []).append(flow)
        return kept

    def keep_flows(self, flows: dict[tuple[str, str], list[Flow]]) -> None:
        """Write all flows."""
        _write(self._folder / "flows.json", [vars(flow) for revisions in flows.values() for flow in revisions])

    def executions(self) -> list[Record]:
        """Return every execution, oldest first."""
        records = [json.loads(path.read_text()) for path in (self._folder / "executions").glob("*.json")]
        return sorted(records, key=lambda record: record["number"])

    def keep(self, record: Record) -> None:
        """Write an execution, all but its inputs."""
        _write(self._folder / "executions" / f"{record['id']}.json", record)

    def inputs(self, execution_id: str) -> Record:
        """Return an execution's inputs."""
        inputs: Record = json.loads((self._folder / "inputs" / f"{execution_id}.json").read_text())
        return inputs

    def keep_inputs(self, execution_id: str, inputs: Record) -> None:
        """Write an execution's inputs, once."""
        _write(self._folder / "inputs" / f"{execution_id}.json", inputs)

    def put(self, name: str, content: bytes) -> str:
        """Keep a file and return its address."""
        key = f"{secrets.token_hex(8)}-{name}"
        (self._folder / "files" / key).write_bytes(content)
        return f"kestra:///double/{key}"

    def get(self, uri: str) -> bytes | None:
        """Return the file at an address."""
        key = uri.removeprefix("kestra:///double/")
        path = self._folder / "files" / key
        return path.read_bytes() if "/" not in key and path.is_file() else None

    def note(self, **event: object) -> None:
        """Add a line to the ledger of children."""
        with self._ledger.open("a") as ledger:
            ledger.write(json.dumps(event) + "\n")

    def ledger(self) -> list[Record]:
        """Return the ledger's lines, in the order of what happened, of every server that had this folder."""
        lines = self._ledger.read_text().splitlines() if self._ledger.exists() else []
        return [json.loads(line) for line in lines]


def _write(path: Path, value: object) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.write_text(json.dumps(value))
    os.replace(temporary, path)
