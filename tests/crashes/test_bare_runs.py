"""A run with nothing around it but its settings, and one to whose document nobody listens to the end."""

from __future__ import annotations

import json
import subprocess

from tests.crashes.conftest import Enter
from tests.crashes.verdict import compare
from tests.crashes.world import COMMAND, LONGEST, World


def shell(here: World, script: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which $COMMAND is the command."""
    bash = ["/bin/bash", "-c", script]
    environ = here.environ | {"COMMAND": COMMAND}
    return subprocess.run(
        bash, cwd=here.folder, env=environ, capture_output=True, text=True, timeout=LONGEST, check=False
    )


def test_a_run_needs_no_home_and_no_locale_and_resumes_without_them(world: Enter) -> None:
    here = world(3, 1, speed=100.0)
    bare = "env -i LC_ALL=C PATH=/usr/bin:/bin " + " ".join(f"{name}={value}" for name, value in here.settings.items())
    done = shell(here, f'{bare} "$COMMAND" batch providers.csv')
    again = shell(here, f'{bare} "$COMMAND" resume')

    document = json.loads(done.stdout)
    assert (done.returncode, document["run"]["finished"]) == (0, True)
    assert compare(here.numbers, here.simulator.ledger(), document).broken == {}
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "There is nothing to finish.\n")


def test_a_run_whose_document_and_words_go_to_head_calls_everybody_and_loses_nothing(world: Enter) -> None:
    here = world(3, 1, speed=100.0)
    done = shell(here, '"$COMMAND" batch providers.csv -v 2>&1 | head -1; exit ${PIPESTATUS[0]}')

    assert done.stdout == "3 providers will be called, at most 1 at once.\n"
    assert done.returncode == 0
    document = here.document(str(here.left().run))
    assert document["run"]["finished"]
    assert compare(here.numbers, here.simulator.ledger(), document).broken == {}
