"""Rules of the package's structure that import rules cannot express."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from speechxfer.config import HEADS
from speechxfer.config.families import FAMILIES
from speechxfer.registry import resolve

PACKAGE = Path(__file__).parents[1] / "speechxfer"
#: Where kinds of heads and families of encoders may be named.
ROOMS = ("heads", "families")
FILES = sorted(PACKAGE.rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def classes() -> set[str]:
    """The names of all heads and encoders."""
    heads = {resolve(entry.implementation).__name__ for entry in HEADS.values()}
    decoders = {family.decoder.load().__name__ for family in FAMILIES.values() if family.decoder}
    return heads | decoders | {family.load().__name__ for family in FAMILIES.values()}


def asks_which_there_is(node: ast.Call, named: set[str]) -> str | None:
    if isinstance(node.func, ast.Name) and node.func.id == "isinstance":
        found = {one.id for one in ast.walk(node.args[1]) if isinstance(one, ast.Name)} & named
        return f"asks for {sorted(found)}" if found else None
    return None


def compares_names(node: ast.Compare, kinds: set[str]) -> str | None:
    found = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)} & kinds
    return f"compares {sorted(found)}" if found else None


def is_long(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
    text = ast.get_docstring(node, clean=False)
    size = (node.end_lineno or 0) - node.lineno + 1 - (text.count("\n") + 1 if text else 0)
    return f"{node.name} has {size} lines" if size > 40 else None


def broken(tree: ast.AST, named: set[str], kinds: set[str]) -> Iterator[str]:
    """What breaks a rule, by line; all rules at once, since reading the files takes longer than looking at them.

    Args:
        named: heads and encoders that nobody may ask for.
        kinds: what nobody may compare anything with.
    """
    for node in ast.walk(tree):
        wrong = None
        if isinstance(node, ast.Call):
            wrong = asks_which_there_is(node, named)
        elif isinstance(node, ast.Compare):
            wrong = compares_names(node, kinds)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            wrong = is_long(node)
        if wrong:
            yield f"{node.lineno}: {wrong}"


def test_nobody_asks_which_head_or_family_there_is_and_functions_fit_on_a_screen() -> None:
    named, kinds = classes(), {*HEADS, *FAMILIES} - {"classification"}  # which is also a task
    found = []
    for path in FILES:
        where = (set(), set()) if path.relative_to(PACKAGE).parts[0] in ROOMS else (named, kinds)
        found += [f"{name(path)}:{line}" for line in broken(ast.parse(path.read_text(encoding="utf-8")), *where)]
    assert found == []


def test_files_are_read_in_one_sitting() -> None:
    assert [name(path) for path in FILES if len(path.read_text(encoding="utf-8").splitlines()) > 400] == []


def test_what_breaks_a_rule_is_found() -> None:
    tree = ast.parse("isinstance(x, (A, B))\nx == 'ctc'\n" + "def f():\n" + "    x\n" * 40)
    assert sorted(broken(tree, {"B"}, {"ctc"})) == ["1: asks for ['B']", "2: compares ['ctc']", "3: f has 41 lines"]
    assert list(broken(tree, set(), set())) == ["3: f has 41 lines"]
