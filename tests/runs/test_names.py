"""Nobody but `runs` knows what the files of a run are called."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Of files: in no string anywhere, except in documentation (docstrings, and help texts of options).
FILES = (
    "config.toml", "run.lock", "metrics.json", "plan.json", "environment.json", "sources.json", "interpolation.json",
    "report.html", "time.json", "before.json", "after.json", ".pre-trained.jsonl", ".adapted.jsonl",
)  # fmt: skip
ANY = re.compile("|".join(map(re.escape, FILES)))
#: Of folders: in no path, as `folder / "model"` is one.
FOLDERS = ("checkpoints", "model", "non_speech", "nothing", "predictions", "tensorboard", "scratch", "interpolated")


def modules() -> list[Path]:
    found = [path for room in ("speechxfer", "recipes", "scripts") for path in (ROOT / room).rglob("*.py")]
    # Scripts write documentation, and damage what a run wrote.
    allowed = [ROOT / "speechxfer" / "runs", *(ROOT / "scripts" / name for name in ("docs", "fuzz"))]
    return sorted(path for path in found if not any(map(path.is_relative_to, allowed)))


def documentation(nodes: list[ast.AST]) -> set[int]:
    """The ids of strings that stand alone, as docstrings do, or are the help of an option."""
    alone = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    return alone | {id(node.value) for node in nodes if isinstance(node, ast.keyword) and node.arg == "help"}


def known(path: Path) -> Iterator[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    skipped = documentation(nodes)
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield from (f"{path}:{node.lineno}: {name}" for name in ANY.findall(node.value))
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
            value = node.right.value
            yield from (f"{path}:{node.lineno}: {name}" for name in FOLDERS if value == name)


@pytest.mark.parametrize("room", ["speechxfer", "recipes", "scripts"])
def test_names_of_a_run_are_known_in_one_place(room: str) -> None:
    found = [line for path in modules() if path.is_relative_to(ROOT / room) for line in known(path)]
    assert found == []


def test_a_name_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('"""Reads config.toml."""\nx = f"{run}/metrics.jsonl"\ny = run / "model"\n')
    assert {line.rpartition(": ")[2] for line in known(tmp_path / "a.py")} == {"metrics.json", "model"}
