"""The whole job on a language of tones that a tiny random encoder learns in seconds."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch

import speechxfer as sx
from speechxfer.config import build, merge, read_toml, to_dict
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import CheckpointError, ConfigError, DataError, TrainingError
from speechxfer.training.step import TrainStep
from tests.conftest import tone
from tests.training.conftest import RaiseAt, Runs

TIMINGS = ("training_s", "dev_s", "waited")
SETTINGS: dict[str, Any] = {
    "language_model": "none",
    # Random convolutions tell tones apart only once they are trained.
    "plan": {"freeze_frontend": False, "encoder_lr": 1e-2, "head_lr": 1e-2, "head_only_ratio": 0.0},
    "training": {"epochs": 25, "batch_seconds": 2.0, "dropout": 0.0, "warmup_ratio": 0.1},
    "augment": {"mask_time_prob": 0.0, "mask_feature_prob": 0.0},
}
FROZEN = {"plan": {"freeze_frontend": True}}
SHORT = {**FROZEN, "training": {"epochs": 2, "batch_seconds": 8.0}}


def texts(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return ["".join(chance.choices("abc", k=chance.randint(1, 3))) + " a" for _ in range(count)]


@pytest.fixture
def settings(corpus: Callable[..., Path], whisper_folder: Path, tmp_path: Path) -> dict[str, Any]:
    data = {"train": str(corpus("train", texts(60, 1))), "dev": str(corpus("dev", texts(8, 2)))}
    return merge([SETTINGS, data, {"model": str(whisper_folder), "output": str(tmp_path / "run")}])


def config(settings: dict[str, Any], *layers: dict[str, Any]) -> sx.FinetuneConfig:
    return build(sx.FinetuneConfig, merge([settings, *layers]))


def metrics(settings: dict[str, Any]) -> list[dict[str, Any]]:
    lines = (Path(settings["output"]) / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in TIMINGS} for line in lines]


def test_it_learns_and_the_saved_model_writes_what_was_said(learned: Runs) -> None:
    assert json.loads((learned.folder / "first" / "metrics.json").read_text())["dev"]["wer"] == 0
    model = sx.load(learned.base["model"])
    for text in ("abc a", "cb a", "aab a"):  # no two equal neighbors may melt into one
        assert model.transcribe(tone(text), sample_rate=16_000, vad="none").text == text
        assert model.transcribe(tone(text, rate=8_000), sample_rate=8_000, vad="none").text == text


def test_what_is_frozen_does_not_move(settings: dict[str, Any], whisper_folder: Path) -> None:
    run = sx.finetune(config=config(settings, SHORT, {"plan": {"train_top": 1}}))
    before = find(str(whisper_folder)).read()[1]
    after = run.model.encoder.state_dict()
    moved = {
        name
        for name, value in after.items()
        if not torch.equal(before[name.replace("modules_", "model.encoder")], value)
    }
    assert moved
    assert all(name.startswith(("modules_.layers.1.", "modules_.layer_norm.")) for name in moved)


def test_the_run_can_be_replayed_from_its_folder(settings: dict[str, Any], tmp_path: Path) -> None:
    run = sx.finetune(config=config(settings, SHORT))
    again = build(
        sx.FinetuneConfig, merge([read_toml(run.folder / "config.toml"), {"output": str(tmp_path / "again")}])
    )
    sx.finetune(config=again)
    assert metrics(settings) == metrics({"output": str(tmp_path / "again")})


@pytest.mark.parametrize("stop_at", [1, 3, 11])
def test_interrupted_and_resumed_it_ends_where_it_would_have(
    settings: dict[str, Any], tmp_path: Path, stop_at: int
) -> None:
    noisy = {
        **FROZEN,
        "training": {"epochs": 3, "batch_seconds": 8.0, "dropout": 0.1, "speed_copies": 1},
        "augment": {"mask_time_prob": 0.1},
    }
    sx.finetune(config=config(settings, noisy, {"output": str(tmp_path / "whole")}))
    with pytest.raises(KeyboardInterrupt):
        sx.finetune(config=config(settings, noisy), callbacks=[RaiseAt(stop_at)])
    assert sx.load(str(Path(settings["output"]) / "model")).transcribe(tone("a"), sample_rate=16_000) is not None
    sx.finetune(config=config(settings, noisy), resume=True)
    assert metrics(settings) == metrics({"output": str(tmp_path / "whole")})
    weights = [sx.load(str(folder / "model")).state_dict() for folder in (Path(settings["output"]), tmp_path / "whole")]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_padded_to_30_s_works_as_well(settings: dict[str, Any]) -> None:
    small = {"training": {"epochs": 1, "batch_seconds": 300.0}, "whisper": {"pad_to_30s": True}}
    run = sx.finetune(config=config(settings, small, {"train": settings["dev"]}))
    assert run.model.encoder.fixed_length


def test_another_run_is_not_written_over(settings: dict[str, Any]) -> None:
    sx.finetune(config=config(settings, SHORT))
    with pytest.raises(ConfigError, match="holds another run; go on with --resume, replace it with --overwrite"):
        sx.finetune(config=config(settings, SHORT))
    sx.finetune(config=config(settings, SHORT), overwrite=True)


def test_a_mistake_with_overwrite_loses_nothing(settings: dict[str, Any]) -> None:
    run = sx.finetune(config=config(settings, SHORT))
    with pytest.raises(CheckpointError):
        sx.finetune(config=config(settings, SHORT, {"model": "./misspelt"}), overwrite=True)
    with pytest.raises(DataError):
        sx.finetune(config=config(settings, SHORT, {"dev": "./misspelt.jsonl"}), overwrite=True)
    assert (run.folder / "model" / "model.safetensors").is_file()
    assert (run.folder / "metrics.json").is_file()


@pytest.fixture
def _ctrl_c() -> Iterator[None]:
    """As in the foreground of a terminal; jobs in the background are started with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c")
def test_ctrl_c_waits_for_the_step_to_end(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    real = TrainStep.__call__

    def interrupted(*arguments: Any, number: int, **options: Any) -> Any:
        if number == 4:
            signal.raise_signal(signal.SIGINT)  # in the middle of a step
        return real(*arguments, number=number, **options)

    monkeypatch.setattr(TrainStep, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sx.finetune(config=config(settings, SHORT))
    newest = max((Path(settings["output"]) / "checkpoints").glob("step-*"))
    assert json.loads((newest / "position.json").read_text())["step"] == 5
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_folder_that_is_no_run_is_never_emptied(settings: dict[str, Any], tmp_path: Path) -> None:
    precious = tmp_path / "thesis" / "model"
    precious.mkdir(parents=True)
    with pytest.raises(ConfigError, match="is not a run"):
        sx.finetune(config=config(settings, {"output": str(tmp_path / "thesis")}), overwrite=True)
    assert precious.is_dir()


def test_resuming_with_other_settings_names_them(settings: dict[str, Any]) -> None:
    sx.finetune(config=config(settings, SHORT))
    with pytest.raises(ConfigError, match=r"training\.epochs was 2, now 3"):
        sx.finetune(config=config(settings, SHORT, {"training": {"epochs": 3}}), resume=True)


def test_dev_text_that_cannot_be_written_is_reported(settings: dict[str, Any], corpus: Callable[..., Path]) -> None:
    dev = corpus("odd", ["a", "b"])
    dev.write_text(dev.read_text().replace('"b"', '"bé"'))
    with pytest.raises(DataError, match=r"odd\.jsonl:2: 'é' does not occur in the training text, .*1 of 2"):
        sx.finetune(config=config(settings, {"dev": str(dev)}))
    run = sx.finetune(config=config(settings, SHORT, {"dev": str(dev), "ctc": {"ignore_unknown": True}}))
    assert (run.folder / "model").is_dir()


class Log(sx.Progress):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def log(self, message: str) -> None:
        self.messages.append(message)


def test_too_few_frames_are_reported(settings: dict[str, Any], corpus: Callable[..., Path]) -> None:
    train = corpus("crowded", ["a b c"] * 4)
    lines = train.read_text().splitlines()
    lines[2] = json.dumps({"audio": "crowded0.wav", "text": "abc " * 100})
    train.write_text("\n".join(lines))
    log = Log()
    sx.finetune(config=config(settings, SHORT, {"train": str(train)}), progress=log)
    assert any("1 of 4 training utterances are too short" in line and "jsonl:3" in line for line in log.messages)


def test_an_adapted_model_is_adapted_further_with_its_own_head(
    settings: dict[str, Any], learned: Runs, tmp_path: Path
) -> None:
    alone = {"plan": {"head_only_ratio": 1 / 6}, "training": {"epochs": 2}}
    again = {"model": learned.base["model"], "output": str(tmp_path / "second"), "test": learned.base["dev"]}
    log = Log()
    second = sx.finetune(config=config(settings, SHORT, again, alone), progress=log)
    # A new head learns alone first; this one has learned already.
    assert _first_epochs(sx.finetune(config=config(settings, SHORT, alone)).folder) == {1, 2}
    assert _first_epochs(second.folder) == {1}
    third = {"output": str(tmp_path / "third"), "ctc": {"vocabulary": "new"}}
    assert _first_epochs(sx.finetune(config=config(settings, SHORT, again, alone, third)).folder) == {1, 2}
    assert any("has a CTC head for 4 characters, which is kept" in line for line in log.messages)
    assert second.before is not None
    assert second.before.rates.wer == json.loads((learned.folder / "first" / "metrics.json").read_text())["dev"]["wer"]
    described = json.loads((learned.folder / "first" / "model" / "speechxfer.json").read_text())
    assert second.model.source == described["source"]  # where the weights came from first


def _first_epochs(folder: Path) -> set[int]:
    """The epochs in which parts begin to be trained."""
    table = json.loads((folder / "plan.json").read_text())
    return {int(row[3]) for row in table["rows"] if row[3]}


def test_a_part_of_dev_may_be_enough(settings: dict[str, Any], corpus: Callable[..., Path]) -> None:
    dev = str(corpus("odd", ["a a", "b a", "c a", "abc a"]))
    sx.finetune(config=config(settings, SHORT, {"dev": dev, "training": {"dev_utterances": 2}}))
    whole = metrics(settings)
    few = corpus("few", ["a a", "c a"])
    sx.finetune(config=config(settings, SHORT, {"dev": str(few)}), overwrite=True)
    assert metrics(settings) == whole


def test_new_characters_are_added_only_on_request(
    settings: dict[str, Any], corpus: Callable[..., Path], tmp_path: Path
) -> None:
    few = {"train": str(corpus("few", [text.replace("c", "b") for text in texts(12, 3)]))}
    first = sx.finetune(config=config(settings, SHORT, few, {"ctc": {"ignore_unknown": True}}))
    again = {"model": str(first.folder / "model"), "output": str(tmp_path / "second")}
    with pytest.raises(DataError, match=r"'c' occur in the training text.*3 characters without them.*--extend-vocab"):
        sx.finetune(config=config(settings, SHORT, again))
    extended = sx.finetune(config=config(settings, SHORT, again, {"ctc": {"vocabulary": "extend"}}))
    assert extended.model.head.describe()["vocabulary"]["symbols"] == [" ", "a", "b", "c"]
    new = {"output": str(tmp_path / "third"), "ctc": {"vocabulary": "new"}}
    log = Log()
    sx.finetune(config=config(settings, SHORT, again, new), progress=log)
    assert any("4 characters in the training text" in line for line in log.messages)


def test_a_loss_that_is_no_number_stops_with_advice(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    real = TrainStep.loss
    monkeypatch.setattr(TrainStep, "loss", lambda *arguments: real(*arguments) * np.nan)
    with pytest.raises(
        TrainingError, match=r"the loss is nan .*damaged audio or text \(.*train\.jsonl:.*half the learning"
    ):
        sx.finetune(config=config(settings, SHORT))


def test_the_resolved_configuration_is_written(settings: dict[str, Any]) -> None:
    wanted = config(settings, SHORT)
    sx.finetune(config=wanted)
    assert (Path(settings["output"]) / "config.toml").read_text() == tomli_w.dumps(to_dict(wanted))
