"""Ctrl-C while the command is still being loaded: nobody was dialled, and one sentence says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

# Python imports this by itself at its start; the installed command is interrupted when it calls the named function.
CUSTOM = """
import os, signal, sys

def interrupted_at(frame, event, argument):
    if event == "call" and frame.f_code.co_qualname == {name!r}:
        sys.setprofile(None)
        os.kill(os.getpid(), signal.SIGINT)

sys.setprofile(interrupted_at)
"""


@pytest.mark.parametrize(
    "name", ["_run", "with_examples", "_fill_standard_streams", "Context.__init__", "batch", "load", "carry_out"]
)
def test_ctrl_c_before_the_command_has_begun_is_2_and_says_that_nobody_was_dialled(
    command: Any, providers: Any, vapi: Any, kept: Any, tmp_path: Path, name: str
) -> None:
    custom = tmp_path / "custom"
    custom.mkdir()
    (custom / "sitecustomize.py").write_text(CUSTOM.format(name=name))
    ended = command("batch", providers("Blue Ridge,(864) 555-0106,plumbing"), environ={"PYTHONPATH": str(custom)})

    assert (ended.code, ended.out, ended.said, kept()) == (2, "", "Interrupted; nobody was dialled.", 0)
    assert vapi.rang == {}
