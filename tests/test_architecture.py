"""Rules of the package's structure that import rules cannot express."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from speechxfer.config import HEADS
from speechxfer.config.families import FAMILIES
from speechxfer.registry import resolve

PACKAGE = Path(__file__).parents[1] / "speechxfer"
#: Where kinds of heads and families of encoders may be named.
ROOMS = ("heads", "families")
FILES = sorted(PACKAGE.rglob("*.py"))
OTHERS = [path for path in FILES if path.relative_to(PACKAGE).parts[0] not in ROOMS]


def nodes(path: Path) -> Iterator[ast.AST]:
    yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.fixture(scope="module")
def classes() -> set[str]:
    """The names of all heads and encoders."""
    heads = {resolve(entry.implementation).__name__ for entry in HEADS.values()}
    decoders = {family.decoder.load().__name__ for family in FAMILIES.values() if family.decoder}
    return heads | decoders | {family.load().__name__ for family in FAMILIES.values()}


@pytest.mark.parametrize("path", OTHERS, ids=name)
def test_nobody_asks_which_head_or_family_there_is(path: Path, classes: set[str]) -> None:
    for node in nodes(path):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            named = {one.id for one in ast.walk(node.args[1]) if isinstance(one, ast.Name)}
            assert not named & classes, f"{name(path)}:{node.lineno}"


@pytest.mark.parametrize("path", OTHERS, ids=name)
def test_nobody_compares_the_kind_of_a_head_or_the_name_of_a_family(path: Path) -> None:
    kinds = {*HEADS, *FAMILIES} - {"classification"}  # which is also a task
    for node in nodes(path):
        if isinstance(node, ast.Compare):
            compared = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)}
            assert not compared & kinds, f"{name(path)}:{node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_are_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", FILES, ids=name)
def test_functions_fit_on_a_screen(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node, clean=False)
            size = (node.end_lineno or 0) - node.lineno + 1 - (text.count("\n") + 1 if text else 0)
            assert size <= 40, f"{name(path)}:{node.lineno} {node.name}"
