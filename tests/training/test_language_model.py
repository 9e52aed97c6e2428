"""Runs with a language model: made from the training text, tuned on dev, kept if it helps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import speechxfer as sx
from speechxfer.cli import main
from speechxfer.errors import CheckpointError, ConfigError, DataError
from speechxfer.evaluation.fusion_tuning import Tuned
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.training import language_model
from speechxfer.training.language_model import language_model_of
from tests.training.conftest import Runs, interrupted

AUTO: dict[str, Any] = {"language_model": "auto"}


class HeadLike:
    """What a language model is made for."""

    written = sx.TextNormalizer("basic").__call__

    def lexicon(self, language_model: object) -> None:
        """Spells everything."""


def files(folder: Path) -> dict[str, bytes]:
    """The files of a saved model that hold what it computes."""
    names = ("speechxfer.json", "model.safetensors", "language_model.arpa")
    return {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}


def figures(runs: Runs, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((runs.folder / name / "metrics.json").read_text())
    return found


def test_greedy_and_fused_stand_side_by_side(runs: Runs) -> None:
    tested = {"test": runs.base["dev"]}
    log = runs.run("run", AUTO, tested)
    folder = runs.folder / "run"
    scores = figures(runs, "run")["language_model"]
    assert scores["kept"]
    assert scores["scores"]["dev"]["fused"]["wer"] < scores["scores"]["dev"]["greedy"]["wer"]
    assert scores["scores"]["test"] == scores["scores"]["dev"]  # it is the same split here
    assert figures(runs, "run")["after"]["wer"] == scores["scores"]["test"]["fused"]["wer"]
    assert figures(runs, "run")["dev"]["wer"] == scores["scores"]["dev"]["greedy"]["wer"]
    assert "Language model, test split: " in log
    for page in (folder / "report.html", folder / "model" / "README.md"):
        assert "WER, with language model" in page.read_text(encoding="utf-8")
    fused = sx.load(str(folder / "model"), device="cpu").head
    assert isinstance(fused, CTCHead)
    assert fused.fusion is not None


@pytest.mark.slow
def test_a_run_interrupted_and_resumed_ends_with_the_same_model(runs: Runs) -> None:
    runs.run("whole", AUTO)
    interrupted(runs, "parts", 5, AUTO)
    runs.run("parts", AUTO, resume=True)
    assert runs.metrics("parts") == runs.metrics("whole")
    whole = files(runs.folder / "whole" / "model")
    assert len(whole) == 3
    assert files(runs.folder / "parts" / "model") == whole
    runs.run("parts", AUTO, resume=True)  # a finished run is measured again
    assert files(runs.folder / "parts" / "model") == whole
    assert figures(runs, "parts")["language_model"] == figures(runs, "whole")["language_model"]


def test_training_is_the_same_without_it(runs: Runs) -> None:
    runs.run("plain")
    runs.run("fused", AUTO)
    assert runs.metrics("plain") == runs.metrics("fused")
    plain, fused = (files(runs.folder / name / "model") for name in ("plain", "fused"))
    assert plain["model.safetensors"] == fused["model.safetensors"]
    assert "language_model" not in figures(runs, "plain")


def test_one_that_does_not_help_is_left_out(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tuned, "helps", property(lambda _: False))
    log = runs.run("run", AUTO, {"test": runs.base["dev"]})
    assert "The language model makes no fewer errors on dev (WER " in log
    assert "language_model.arpa" not in files(runs.folder / "run" / "model")
    found = figures(runs, "run")["language_model"]
    assert not found["kept"]
    assert list(found["scores"]) == ["dev"]
    assert "was tried, and left out" in (runs.folder / "run" / "model" / "README.md").read_text()


def test_a_text_adds_to_the_training_text_and_an_arpa_file_is_taken_as_it_is(runs: Runs, tmp_path: Path) -> None:
    text, arpa = tmp_path / "more.txt", tmp_path / "given.arpa.gz"
    text.write_text("cacao a\n", encoding="utf-8")
    sx.train_language_model(text, output=arpa)
    train = sx.Manifest.read(Path(runs.base["train"]))
    head = HeadLike()
    settings = runs.config("run")
    made = {
        name: language_model_of(replace(settings, language_model=name), head, train)  # type: ignore[arg-type]
        for name in ("none", "auto", str(text), str(arpa))
    }
    assert made.pop("none") is None
    has = {name: ("cacao" in one, str(train[0].text).split()[0] in one) for name, one in made.items() if one}
    assert has == {"auto": (False, True), str(text): (True, True), str(arpa): (True, False)}


def test_auto_learns_from_some_of_much_text(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    train, settings = sx.Manifest.read(Path(runs.base["train"])), replace(runs.config("run"), language_model="auto")
    words = [set((one.text or "").split()) for one in train]
    monkeypatch.setattr(language_model, "_MOST_WORDS", sum(len((one.text or "").split()) for one in train) // 2)
    made = language_model_of(settings, HeadLike(), train)  # type: ignore[arg-type]
    assert made is not None
    known = set().union(*words[::2])
    others = set().union(*words) - known
    assert others
    assert all(word in made for word in known)
    assert not any(word in made for word in others)


def test_another_text_is_another_run(runs: Runs, tmp_path: Path) -> None:
    text, moved = tmp_path / "more.txt", tmp_path / "moved.txt"
    text.write_text("a cab\n", encoding="utf-8")
    interrupted(runs, "run", 5, {"language_model": str(text)})
    with pytest.raises(ConfigError, match="language_model was"):
        runs.run("run", AUTO, resume=True)
    text.rename(moved)
    moved.write_text("a cab b\n", encoding="utf-8")
    with pytest.raises(CheckpointError, match="the language model has changed since the run began"):
        runs.run("run", {"language_model": str(moved)}, resume=True)
    moved.write_text("a cab\n", encoding="utf-8")
    runs.run("run", {"language_model": str(moved)}, resume=True)


def test_wrong_ones_are_refused_before_the_work(
    runs: Runs, corpus: Any, spelling_whisper: Path, tmp_path: Path
) -> None:
    def refused(source: object, *layers: dict[str, Any]) -> str:
        with pytest.raises((ConfigError, DataError)) as caught:
            runs.run("refused", {"language_model": str(source)}, *layers)
        assert not (runs.folder / "refused").exists()
        return str(caught.value)

    damaged, other = tmp_path / "damaged.arpa", tmp_path / "other.txt"
    damaged.write_text("\\data\\\nngram 1=3\n")
    assert "damaged.arpa:2: the file ends" in refused(damaged)
    assert "missing.txt: cannot be read (No such file or directory)" in refused(tmp_path / "missing.txt")
    other.write_text("ЖУК\n", encoding="utf-8")
    sx.train_language_model(other, output=tmp_path / "other.arpa")
    assert "'жук', can be spelled" in refused(tmp_path / "other.arpa").replace("'ЖУК'", "'жук'")
    damaged.write_text(other.read_text())
    sx.train_language_model(damaged, output=tmp_path / "words.arpa")
    own = {"model": str(spelling_whisper), "head": "seq2seq", "plan": {"train_top": None}}
    assert "but a seq2seq head does not decode with" in refused(tmp_path / "words.arpa", own)
    single = {name: str(corpus(f"{name}-single", ["a", "b", "c"])) for name in ("train", "dev")}
    assert "but the model writes no spaces between words" in refused(tmp_path / "words.arpa", single)


def test_auto_makes_none_where_the_head_could_not_use_it(runs: Runs, corpus: Any, spelling_whisper: Path) -> None:
    single = {name: str(corpus(f"{name}-single", ["a", "b", "c"])) for name in ("train", "dev")}
    own = {"model": str(spelling_whisper), "head": "seq2seq", "plan": {"train_top": None}}
    for name, layer in (("single", single), ("own", own)):
        runs.run(name, AUTO, layer, {"training": {"epochs": 1}})
        assert "language_model" not in figures(runs, name)


def test_the_command_makes_one_without_being_asked(runs: Runs) -> None:
    given = {name: runs.base[name] for name in ("model", "train", "dev")} | {"output": str(runs.folder / "run")}
    options = [word for name, value in given.items() for word in (f"--{name}", value)]
    result = CliRunner().invoke(main, ["finetune", *options, "--epochs", "1", "--train-top", "1"])
    assert result.exit_code == 0, result.output
    assert "with language model" in result.output
    assert 'language_model = "auto"' in (runs.folder / "run" / "config.toml").read_text()
