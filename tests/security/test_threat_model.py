"""Each line of the threat model names tests, and they are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINES = [
    line
    for line in (ROOT / "SECURITY.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| who |")
]


def test_there_are_lines() -> None:
    assert len(LINES) > 20


@pytest.mark.parametrize("line", LINES, ids=[line[2:60] for line in LINES])
def test_a_line_of_the_threat_model_names_tests_that_are_there(line: str) -> None:
    who, how, what, tests = (cell.strip() for cell in line.strip("| ").split(" | "))
    assert who and how and what
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", tests)
    assert len(named) == tests.count("`") / 2 > 0
    for path, name in named:
        defined = {
            node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.FunctionDef)
        }
        assert name in defined if name else any(each.startswith("test_") for each in defined), f"{path}::{name}"
