"""`sx.finetune`: what may be given, how settings are laid over one another, and what is refused where it is given."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w

import speechxfer as sx
from speechxfer.api.settings import Request
from tests.conftest import tone

SHORT: dict[str, Any] = {"device": "cpu", "training": {"epochs": 1, "batch_seconds": 4.0}}


def rows(*texts: str) -> list[dict[str, Any]]:
    return [{"audio": tone(text), "sample_rate": 16_000, "text": text} for text in texts]


def request(plan: Any = None, config: Any = None, **given: Any) -> sx.FinetuneConfig:
    known = {"model": "org/tiny", "train": "train.jsonl", "dev": "dev.jsonl", **given}
    return Request.of(config, plan, known).config


@pytest.mark.slow
def test_the_first_page_of_a_notebook(
    whisper_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, corpus: Callable[..., Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    test = corpus("test", ["ab"])
    run = sx.finetune(
        whisper_folder, train=rows("ab", "c a", "bb"), dev=rows("a", "b"), test=test, plan=sx.Plan(train_top=1), **SHORT
    )
    assert run.folder == tmp_path / "runs" / f"{whisper_folder.name}-ctc"
    assert (run.folder / "report.html").is_file()
    assert json.loads((run.folder / "plan.json").read_text())["trained"] > 0
    data = [sx.Utterance(audio=str(test.parent / "test0.wav"), text="ab")]
    again = sx.evaluate(run, data)
    assert run.after is not None
    assert again.to_dict()["wer"] == run.after.to_dict()["wer"]
    assert sx.evaluate(run.folder / "model", test, device="cpu").to_dict()["wer"] == again.to_dict()["wer"]
    comparison = sx.compare(run, again, data)
    assert (comparison.utterances, comparison.wins, comparison.losses) == (1, 0, 0)
    assert sx.report(run) == run.folder / "report.html"


def test_relative_paths_mean_what_they_mean_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = request(output="run", test="~/test.jsonl")
    assert (config.train, config.output) == (str(tmp_path / "train.jsonl"), str(tmp_path / "run"))
    assert config.test == str(Path.home() / "test.jsonl")
    (tmp_path / "run.toml").write_text(tomli_w.dumps({"training": {"epochs": 2}}))
    assert request(config="run.toml", output=tmp_path / "run").training.epochs == 2


def test_layers_lie_over_one_another() -> None:
    base = {"training": {"epochs": 7, "seed": 3}, "plan": {"train_top": 2, "encoder_lr": 1e-3}}
    config = request(config=base, training={"epochs": 5})
    assert (config.training.epochs, config.training.seed, config.plan.train_top) == (5, 3, 2)
    assert request(config=base, training=sx.TrainingConfig(epochs=5)).training.seed == 1
    assert request({"train_top": 1}, base).plan == sx.Plan(train_top=1, encoder_lr=1e-3)
    assert request(sx.Plan(train_top=1), base).plan == sx.Plan(train_top=1)
    assert request("lora", base).plan == sx.Plan(preset="lora")
    assert request("lora", base, **{"plan.lora_rank": 4}).plan == sx.Plan(preset="lora", lora_rank=4)
    assert request(config=request(config=base)) == request(config=base)


def test_data_in_memory_is_noted_in_the_run(tmp_path: Path) -> None:
    replay = {"replay": rows("c"), "replay_ratio": 0.5}
    asked = Request.of(None, None, {"model": "m", "train": rows("a"), "dev": "d.jsonl", "retention": replay, "output": tmp_path})  # fmt: skip  # noqa: E501
    assert asked.data.keys() == {"train", "retention.replay"}
    assert asked.config.train == str(tmp_path / "data" / "train.jsonl")
    assert asked.config.retention.replay == str(tmp_path / "data" / "retention.replay.jsonl")
    assert asked.config.retention.replay_ratio == 0.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trainnig": {}}, r"trainnig is not a setting; did you mean training\?"),
        ({"training": {"epoch": 5}}, r"training\.epoch is not a setting; did you mean training\.epochs\?"),
        ({"training": {"epochs": "5"}}, r"training\.epochs is '5'.*; wanted a whole number"),
        ({"training": 5}, r"training is a group of settings; wanted training\.KEY, found 5"),
        ({"head": "rnnt"}, r"head is 'rnnt'; wanted one of"),
        ({"plan": 3}, r"plan is 3; wanted a preset \(.*\), a Plan, or a dictionary"),
        ({"plan": "lorra"}, r"plan 'lorra': wanted one of"),
        ({"plan": {"train_top": -1}}, r"plan\.train_top is -1; wanted at least 0"),
        ({"plan": {"train_topp": 1}}, r"plan\.train_topp is not a setting; did you mean plan\.train_top\?"),
        ({"train": 3}, r"train is 3, of type int; wanted the path of a manifest"),
        ({"dev": [3]}, r"dev\[0\] is 3, of type int; wanted an Utterance or a dictionary"),
        ({"retention": {"replay": 3}}, r"retention\.replay is 3"),
        ({"config": 3}, r"config is 3; wanted the path of a TOML file"),
        ({"model": 3}, r"model is 3; wanted text"),
        ({"model": None}, r"model must be given"),
    ],
)
def test_wrong_values_are_refused_where_they_are_given(given: dict[str, Any], message: str, tmp_path: Path) -> None:
    known = {"model": "org/tiny", "train": "train.jsonl", "dev": "dev.jsonl", "output": tmp_path / "run", **given}
    with pytest.raises(sx.ConfigError, match=message):
        sx.finetune(**known)
    assert not (tmp_path / "run").exists()


def test_a_table_may_be_a_dictionary() -> None:
    config = sx.FinetuneConfig("m", "t.jsonl", "d.jsonl", "o", plan={"train_top": 1})  # type: ignore[arg-type]
    assert config.plan == sx.Plan(train_top=1)
    with pytest.raises(sx.ConfigError, match=r"plan\.train_topp is not a setting"):
        sx.FinetuneConfig("m", "t.jsonl", "d.jsonl", "o", plan={"train_topp": 1})  # type: ignore[arg-type]


def test_a_moved_run_is_resumed_by_its_own_settings(whisper_folder: Path, tmp_path: Path) -> None:
    data: dict[str, Any] = {"train": rows("ab", "c a"), "dev": rows("a")}
    sx.finetune(whisper_folder, **data, output=tmp_path / "old", plan={"train_top": 0}, **SHORT)
    (tmp_path / "old").rename(tmp_path / "new")
    run = sx.finetune(config=tmp_path / "new" / "config.toml", **data, resume=True)
    assert run.folder == tmp_path / "new"
    assert not (tmp_path / "old").exists()


def test_callbacks_are_called_and_others_refused(whisper_folder: Path, tmp_path: Path) -> None:
    class Count(sx.Callback):
        steps = 0

        def on_step_end(self, state: sx.TrainingState) -> None:
            self.steps += 1

    count, data = Count(), {"train": rows("ab", "c a"), "dev": rows("a")}
    sx.finetune(whisper_folder, **data, output=tmp_path / "run", plan={"train_top": 0}, callbacks=[count], **SHORT)
    assert count.steps == 1
    with pytest.raises(sx.ConfigError, match=r"callbacks\[0\] is 3; wanted an instance of speechxfer\.Callback"):
        sx.finetune(whisper_folder, **data, output=tmp_path / "other", callbacks=[3])  # type: ignore[list-item]
