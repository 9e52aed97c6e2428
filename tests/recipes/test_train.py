"""Every recipe's train.py on a tiny corpus, and every TOML that is shipped."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from click.testing import CliRunner, Result

import speechxfer as sx
from speechxfer.config import read_settings

RECIPES = Path(__file__).parents[2] / "recipes"
TOMLS = sorted(RECIPES.rglob("*.toml"))


def train(recipe: str, *options: str) -> Result:
    module = importlib.import_module(f"recipes.{recipe}.train")
    return CliRunner().invoke(module.train, [*options, "--overwrite"], catch_exceptions=False)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, whisper_folder: Path, spelling_whisper: Path, tmp_path: Path) -> None:
    """Let the settings of recipes be those of a run of a second, on a tiny model."""
    monkeypatch.chdir(tmp_path)
    real = sx.finetune

    def quick(model: str | None = None, *, config: Path, **given: Any) -> Any:
        values = read_settings(config)
        values["model"] = str(spelling_whisper if values.get("head") == "seq2seq" else whisper_folder)
        values |= {"device": "cpu", "plan": {**values["plan"], "train_top": min(1, values["plan"]["train_top"])}}
        values["training"] = {**values["training"], "epochs": 1, "speed_copies": 0}
        small = tmp_path / config.name
        small.write_text(tomli_w.dumps(values))
        return real(model, config=small, **given)

    monkeypatch.setattr(sx, "finetune", quick)


@pytest.fixture
def data(corpus: Callable[..., Path]) -> str:
    """Splits of two classes, which every recipe can learn from."""
    for name in ("train", "dev", "test", "other-voices", "other-voices-new"):
        path = corpus(name, ["ab", "c a", "bb", "a c"])
        lines = [json.loads(line) | {"label": "it" if n % 2 else "fr"} for n, line in enumerate(path.read_text().splitlines())]  # fmt: skip  # noqa: E501
        path.write_text("\n".join(map(json.dumps, lines)))
    return str(path.parent)


@pytest.mark.slow
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("recipe", "options", "written"),
    [
        ("accented_english", [], "runs/accented-english-seq2seq"),
        ("accented_english", ["--row", "ctc"], "runs/accented-english-ctc"),
        ("ivr_prompts", ["--language", "fr"], "runs/ivr-fr"),
        ("ivr_prompts", ["--row", "seq2seq", "--language", "en", "--output", "here"], "here"),
        ("spoken_digits", [], "runs/digits-classification"),
        ("spoken_digits", ["--head", "ctc", "--output", "here"], "here"),
        ("language_id", [], "runs/language_id"),
    ],
)
def test_a_recipe_trains(recipe: str, options: list[str], written: str, data: str, tmp_path: Path) -> None:
    done = train(recipe, *options, "--data", data)
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / written / "report.html").is_file()
    assert "after" in done.stderr
    if recipe == "language_id":
        assert "accuracy" in json.loads((tmp_path / written / "other-voices.json").read_text())


@pytest.mark.parametrize("recipe", ["accented_english", "ivr_prompts", "spoken_digits", "language_id"])
def test_a_mistake_is_one_line(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = train(recipe, "--data", "none")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("Error: ")


@pytest.mark.parametrize("path", TOMLS, ids=[str(path.relative_to(RECIPES)) for path in TOMLS])
def test_a_shipped_toml_can_be_read(path: Path) -> None:
    assert read_settings(path)["model"]


def test_recipes_are_short_and_use_the_public_names_alone() -> None:
    sources = [path.read_text() for path in RECIPES.glob("*/train.py")]
    assert len(sources) == 4
    assert sum(len(source.splitlines()) for source in sources) < 120
    for source in sources:
        imported = {line.split()[1] for line in source.splitlines() if line.startswith(("import ", "from "))}
        assert imported <= {"click", "json", "pathlib", "speechxfer"}
