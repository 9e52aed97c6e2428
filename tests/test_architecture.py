"""Rules of the package's structure that import rules cannot express."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

from speechxfer.config import HEADS
from speechxfer.config.families import FAMILIES
from speechxfer.registry import resolve

PACKAGE = Path(__file__).parents[1] / "speechxfer"
#: Where kinds of heads and families of encoders may be named.
ROOMS = ("heads", "families")
FILES = sorted(PACKAGE.rglob("*.py"))
Rule = Callable[[ast.AST], str | None]


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def broken(*rules: Rule, rooms: bool = True) -> list[str]:
    """Where the syntax trees of the package break rules, which name what is wrong with a node; all rules at once, since
    reading the files takes longer than looking at them."""
    found = []
    for path in FILES:
        if not rooms and path.relative_to(PACKAGE).parts[0] in ROOMS:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            wrong = [text for rule in rules if (text := rule(node))]
            found += [f"{name(path)}:{node.lineno}: {text}" for text in wrong]  # type: ignore[attr-defined]
    return found


def classes() -> set[str]:
    """The names of all heads and encoders."""
    heads = {resolve(entry.implementation).__name__ for entry in HEADS.values()}
    decoders = {family.decoder.load().__name__ for family in FAMILIES.values() if family.decoder}
    return heads | decoders | {family.load().__name__ for family in FAMILIES.values()}


def asks_which_there_is(node: ast.AST, named: set[str]) -> str | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
        found = {one.id for one in ast.walk(node.args[1]) if isinstance(one, ast.Name)} & named
        return f"asks for {found}" if found else None
    return None


def compares_names(node: ast.AST, kinds: set[str]) -> str | None:
    if isinstance(node, ast.Compare):
        found = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)} & kinds
        return f"compares {found}" if found else None
    return None


def is_long(node: ast.AST) -> str | None:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        text = ast.get_docstring(node, clean=False)
        size = (node.end_lineno or 0) - node.lineno + 1 - (text.count("\n") + 1 if text else 0)
        return f"{node.name} has {size} lines" if size > 40 else None
    return None


def test_nobody_asks_which_head_or_family_there_is() -> None:
    named, kinds = classes(), {*HEADS, *FAMILIES} - {"classification"}  # which is also a task
    assert broken(lambda node: asks_which_there_is(node, named), lambda node: compares_names(node, kinds), rooms=False) == []  # fmt: skip  # noqa: E501


def test_functions_fit_on_a_screen() -> None:
    assert broken(is_long) == []


def test_files_are_read_in_one_sitting() -> None:
    assert [name(path) for path in FILES if len(path.read_text(encoding="utf-8").splitlines()) > 400] == []


def test_what_breaks_a_rule_is_found() -> None:
    tree = ast.parse("isinstance(x, (A, B))\nx == 'ctc'\n" + "def f():\n" + "    x\n" * 40)
    rules = (lambda node: asks_which_there_is(node, {"B"}), lambda node: compares_names(node, {"ctc"}), is_long)
    assert [text for node in ast.walk(tree) for rule in rules if (text := rule(node))] == [
        "f has 41 lines", "asks for {'B'}", "compares {'ctc'}",
    ]  # fmt: skip
