"""Which of Kestra's three dialects a server speaks, and what is written differently in each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from concierge_calls.errors import KestraRefused
from concierge_calls.plain import shown

OLDEST: Final = (0, 18)  # the first with ForEach
_MAIN: Final = (0, 23)  # the first with the tenant in its paths
_NEXT: Final = 3  # the first major version of which nothing is known
_LONGEST: Final = 40  # characters of a version in a sentence


class Dialect(StrEnum):
    """A way of speaking with Kestra, named by the version that began it.

    0.18 to 0.22 has no tenant in its paths; 0.23 to 1.x has, and fans out with ForEach; 2.x fans out with Loop.
    """

    V0 = "0"
    V1 = "1"
    V2 = "2"

    @classmethod
    def of(cls, version: str) -> Dialect:
        """Return the dialect of a server's version; raises KestraRefused for one that nothing is known of."""
        found = re.match(r"v?(\d{1,4})\.(\d{1,4})", version)
        number = (int(found[1]), int(found[2])) if found else (0, 0)
        if not OLDEST <= number < (_NEXT, 0):
            raise KestraRefused(
                f"Kestra {shown(version, _LONGEST) or 'of no version'} is not known to this concierge-calls, "
                "which speaks with 0.18 to 2.x. Install another version of either, or use --via direct."
            )
        if number < _MAIN:
            return cls.V0
        return cls.V1 if number < (2, 0) else cls.V2

    def root(self, tenant: str) -> str:
        """Return the path below which everything lies."""
        return "/api/v1" if self is Dialect.V0 else f"/api/v1/{quote(tenant, safe='')}"

    def filters(self, flow_id: str, label: str, value: str) -> Mapping[str, str]:
        """Return the parameters of a search by label; those that a version does not know are ignored by it."""
        if self is Dialect.V0:
            return {"flowId": flow_id, "labels": f"{label}:{value}"}
        return {"filters[flowId][EQUALS]": flow_id, f"filters[labels][EQUALS][{label}]": value}

    def kill(self, execution_id: str) -> tuple[str, Mapping[str, str]]:
        """Return the path and the parameters by which an execution is killed with all that it has started."""
        path = f"/executions/{quote(execution_id, safe='')}"
        if self is Dialect.V2:
            return f"{path}/actions/kill", {"isOnKillCascade": "true"}
        return f"{path}/kill", {}

    def at_least(self, level: str) -> Mapping[str, str]:
        """Return the parameters for log lines of this level (`WARN`, `ERROR`) and above."""
        return {"filters[level][GREATER_THAN_OR_EQUAL_TO]" if self is Dialect.V2 else "minLevel": level}

    def iterations(self, execution_id: str) -> Mapping[str, str]:
        """Return the parameters of a search for the executions that a Loop's iterations are; empty where they are none.

        A search without the kind leaves them out.
        """
        if self is not Dialect.V2:
            return {}
        return {"filters[parentId][EQUALS]": execution_id, "filters[kind][EQUALS]": "LOOP"}
