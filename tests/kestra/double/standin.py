"""A stand-in for the command that a flow's tasks run; how each of its calls goes is in the provider's name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# It begins by standing in line until as many are there as TOGETHER says, so that a peak is no matter of chance.
SCRIPT = """\
import json, os, pathlib, signal, sys, time
assert sys.argv[1:3] == ["kestra", "child"]
here = pathlib.Path(os.environ["STANDIN"])
(here / f"{os.getpid()}.line").touch()
together = int(os.environ.get("TOGETHER", "1"))
while len(list(here.glob("*.line"))) < together:
    time.sleep(0.01)
handed = json.loads(pathlib.Path(sys.argv[4]).read_text(encoding="utf-8"))
items = handed if sys.argv[3] == "--file" else [handed]
named = [(item, each) for item in items for each in item.get("providers", [item])]
first = named[0][1]["name"] if named else ""
if first.startswith("exit 7"):
    sys.exit(7)
if first.startswith("killed"):
    os.kill(os.getpid(), signal.SIGKILL)
def answer(item, each, status):
    return {"index": each.get("index"), "run_id": item.get("run_id"), "status": status, "name": each["name"]}
def tell(status, *more):
    results = [answer(item, each, status) for item, each in named]
    pathlib.Path("results.json").write_text(json.dumps(results))
    print("::" + json.dumps({"outputs": {"results": results + list(more)}}) + "::", flush=True)
if first.startswith("waits"):
    def told(*_):
        (here / f"{os.getpid()}.told").touch()
        tell("in_progress")
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if first.startswith("waits on") else told)
    (here / f"{os.getpid()}.waits").touch()
    while not (here / "go").exists():
        time.sleep(0.01)
if first.startswith("raw"):
    print('::{"outputs":{"results":[{"note":"\\u2028"}]}}::')
elif first.startswith("large"):
    tell("completed", "x" * int(os.environ["LARGE"]))
elif not first.startswith("silent"):
    tell("completed")
if first.startswith("fails after"):
    sys.exit(7)
"""


def put(folder: Path, **more: str) -> dict[str, str]:
    """Put the stand-in into a folder, and return the environment of a worker that finds it there first."""
    command = folder / "concierge-calls"
    command.write_text(f"#!{sys.executable} -IS\n{SCRIPT}")
    command.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "STANDIN": str(folder), **more}
