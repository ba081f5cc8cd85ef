"""Where the journals are: the one setting that whoever only looks back reads, since all of them take long to load."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from concierge_calls.errors import SettingsError
from concierge_calls.settings.fields import SETTINGS

ENV_FILE = ".env"


def journal_path(*, simulated: bool) -> Path:
    """Return where the journal of real or of simulated runs is; raises SettingsError when that cannot be told."""
    named = _named(os.environ) or _named(_in_file())
    return journal_in(Path(named) if named else None, simulated=simulated)


def journal_in(state_dir: Path | None, *, simulated: bool) -> Path:
    """Return the journal's path in this folder, or in the platform's folder for a program's state.

    Raises SettingsError for a folder in the home of a user who is not there.
    """
    if state_dir is not None:
        folder = _expanded(state_dir)
    else:
        import platformdirs

        folder = Path(platformdirs.user_state_dir("concierge-calls", appauthor=False))
    return folder / ("simulated.db" if simulated else "journal.db")


def unreadable(error: Exception) -> SettingsError:
    """Return the error for a .env that cannot be read."""
    return SettingsError(f".env in this folder cannot be read ({type(error).__name__}); mend or remove it.")


def _expanded(folder: Path) -> Path:
    try:
        return folder.expanduser()
    except RuntimeError:
        name = SETTINGS["state_dir"].variable
        raise SettingsError(f"{name} is {str(folder)!r}, and there is no such user here; name a folder.") from None


def _named(found: Mapping[str, str | None]) -> str | None:
    variable = SETTINGS["state_dir"].variable
    return found.get(variable) or next((value for name, value in found.items() if name.upper() == variable), None)


def _in_file() -> Mapping[str, str | None]:
    if not Path(ENV_FILE).is_file():  # which pydantic-settings passes over, too
        return {}
    from dotenv import dotenv_values

    try:
        return dotenv_values(ENV_FILE, encoding="utf8")
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(error) from None
