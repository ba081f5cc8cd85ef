"""Makes the description of the HTTP service from the program, for those who read it without one that runs."""

import json
from pathlib import Path

from concierge_calls.api.app import bare

DESCRIPTION = Path(__file__).resolve().parent.parent / ".github" / "openapi.json"


def main() -> None:
    """Write the description; a test says whether it is what the program says."""
    DESCRIPTION.write_text(json.dumps(bare().openapi(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
