"""What every test starts from: an environment without our settings, a state folder and a working folder of its own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.environment import OURS

# A machine that is busy with other things is slow, which is no fault of what is tested. Examples that failed are said
# and not kept, since the folder may be one that whoever runs the tests cannot write to.
settings.register_profile("ours", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")

# Whoever runs the tests in the background may have had signals ignored, and what is ignored is inherited.
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGTSTP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Scrub our variables and what changes a terminal, and return the folder that stands for the user's."""
    for name in list(os.environ):
        if name.startswith(OURS) or name in ("NO_COLOR", "FORCE_COLOR", "CI", "COLUMNS"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CONCIERGE_STATE_DIR", str(tmp_path / "state"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work
