"""What the project promises of itself: its shape, its size, and that nobody real is ever rung from it."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "concierge_calls").rglob("*.py"))
FICTIONAL = re.compile(r"555\D{0,3}01\d\d$")
AMERICAN = re.compile(r"(?<![\w-])(?:\+?1[\s.-]?)?\(?[2-9]\d{2}\)?[\s.-]?[2-9]\d{2}[\s.-]?\d{4}(?![\w-])")


def functions(module: Path) -> list[tuple[str, int]]:
    """Return the module's functions with their lengths in lines."""
    tree = ast.parse(module.read_text())
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [(node.name, (node.end_lineno or node.lineno) - node.lineno + 1) for node in nodes]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_short_and_opens_with_one_sentence(module: Path) -> None:
    text = module.read_text()
    assert text.count("\n") <= 300
    sentence = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0]
    assert sentence.endswith(".")


def test_functions_are_short() -> None:
    lengths = {f"{module.name}:{name}": length for module in MODULES for name, length in functions(module)}
    too_long = {name: length for name, length in lengths.items() if length > 60}
    ordered = sorted(lengths.values())
    assert too_long == {}
    assert ordered[len(ordered) // 2] <= 9


def test_the_top_level_has_five_visible_entries() -> None:
    git = ["git", "ls-files"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    names = {name.split("/")[0] for name in listed} or {path.name for path in ROOT.iterdir()}
    visible = {name for name in names if not name.startswith(".") and not name.endswith(".egg-info")}
    assert visible <= {"pyproject.toml", "README.md", "concierge_calls", "tests", "examples"}


def test_every_phone_number_in_examples_and_tests_is_reserved_for_fiction() -> None:
    files = [path for folder in ("examples", "tests") for path in (ROOT / folder).rglob("*") if path.is_file()]
    texts = {path: path.read_bytes().decode("utf-8", "ignore") for path in files if "__pycache__" not in path.parts}
    found = {number.group() for text in texts.values() for number in AMERICAN.finditer(text)}
    assert found
    assert {number for number in found if not FICTIONAL.search(number)} == set()


def test_the_readme_has_two_commands_that_set_everything_up_themselves() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert all("venv" in block and "pip install" in block for block in blocks[:2])
    assert "--simulate" in blocks[0]
    assert "pytest" in blocks[1]


def test_the_contributing_page_names_every_module_at_the_top_of_the_package() -> None:
    page = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
    here = [path for path in (ROOT / "concierge_calls").iterdir() if path.suffix == ".py" or path.is_dir()]
    names = {
        path.name + "/" if path.is_dir() else path.name
        for path in here
        if not path.name.startswith(("_", ".")) or path.name.endswith("_.py")
    }
    vapi = {path.name for path in (ROOT / "concierge_calls" / "vapi").glob("*.py")} - {"__init__.py"}
    assert {name for name in names | vapi if f"  {name} " not in page} == set()


@pytest.mark.parametrize("package", ["journal", "kestra"])
def test_the_contributing_page_names_every_module_of_the_packages_that_are_hard_to_find_ones_way_in(
    package: str,
) -> None:
    page = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
    drawn = re.split(r"\n  (?=\w)", page[page.index(f"  {package}/ ") :])[0]
    modules = {path.name for path in (ROOT / "concierge_calls" / package).glob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"\w+\.py", drawn)) >= modules
