"""A family of encoders and a head of another package, installed into a folder, in every command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file

from speechxfer.cli import main
from speechxfer.config import HEADS, AugmentConfig, build
from speechxfer.config.families import FAMILIES
from speechxfer.config.maskings import MASKINGS
from speechxfer.data.augment import frame_mask

PACKAGE = Path(__file__).parent / "toy_speech"
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the package is installed into."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    environment = os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    source = tmp_path_factory.mktemp("source") / "toy"
    subprocess.run(["cp", "-r", str(PACKAGE), str(source)], check=True)  # where it is built, files are left
    subprocess.run([*command, "--target", str(target), str(source)], check=True, env=environment)
    return target


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package can be imported, and the registers know of it."""
    monkeypatch.syspath_prepend(site)
    for register in (HEADS, FAMILIES, MASKINGS):
        register.refresh()
    yield
    monkeypatch.undo()
    for register in (HEADS, FAMILIES, MASKINGS):
        register.refresh()
    for name in [name for name in sys.modules if name.startswith("toy_speech")]:
        del sys.modules[name]


@pytest.fixture
def checkpoint(tmp_path: Path, installed: None) -> Path:
    """A model of the family, as somebody may have pre-trained it."""
    from toy_speech.encoder import EnergyEncoder

    torch.manual_seed(0)
    folder = tmp_path / "energy"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "toy-energy", "width": 16, "depth": 2}))
    save_file(EnergyEncoder(16, 2).state_dict(), folder / "model.safetensors")
    return folder


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.slow
def test_all_commands_take_the_encoder_and_the_head(
    checkpoint: Path, corpus: Callable[..., Path], tmp_path: Path
) -> None:
    texts = ["a b", "c c a", "b"]
    splits = {name: corpus(name, texts * count) for name, count in (("train", 4), ("dev", 1), ("test", 1))}
    parts = run("models", "show", checkpoint, "--head", "whole-text").output
    assert "toy-energy encoder: 2 layers of width 16" in parts
    assert "projection" in parts

    runs, options = (
        tmp_path / "run",
        ["--epochs", 60, "--batch-seconds", 100, "--train-top", 1, "--set", "plan.head_lr=0.03"],
    )
    named = [option for name, path in splits.items() for option in (f"--{name}", path)]
    head = ["--head", "whole-text", "--set", "whole_text.hidden_units=24", "--set", "training.cache=memory"]
    run("finetune", "--model", checkpoint, *named, *head, *options, "--output", runs)
    assert "[whole_text]\nhidden_units = 24" in (runs / "config.toml").read_text()
    described = json.loads((runs / "model" / "speechxfer.json").read_text())["head"]
    assert described["hidden_units"] == 24
    assert described["texts"] == sorted(texts)

    model = runs / "model"
    assert json.loads(run("evaluate", model, splits["test"]).stdout)["wer"] < 0.5
    recordings = [splits["test"].parent / f"test{number}.wav" for number in range(3)]
    written = [
        line.rpartition(": ")[2] for line in run("transcribe", model, *recordings, "--vad", "none").stdout.splitlines()
    ]
    assert len(written) == 3
    assert set(written) <= set(texts)
    run("report", runs)
    assert "a head that knows whole texts" in (runs / "report.html").read_text()
    assert "It writes only the texts that it was trained on" in (runs / "model" / "README.md").read_text()
    assert "whole-text" in run("models", "show", model).output


def test_its_ctc_head_is_ours(checkpoint: Path, corpus: Callable[..., Path], tmp_path: Path) -> None:
    """A family of another package goes with the heads of this one."""
    splits = [option for name in ("train", "dev") for option in (f"--{name}", corpus(name, ["a b", "c"]))]
    options = ["--epochs", 1, "--set", "energy.skip_bass=true", "--output", tmp_path / "run"]
    run("finetune", "--model", checkpoint, *splits, *options)
    described = json.loads((tmp_path / "run" / "model" / "speechxfer.json").read_text())["encoder"]
    assert described["options"] == {"skip_bass": True}


def test_settings_of_the_family_hold_for_its_encoders_only(
    checkpoint: Path, corpus: Callable[..., Path], tmp_path: Path
) -> None:
    splits = [option for name in ("train", "dev") for option in (f"--{name}", str(corpus(name, ["a b", "c"])))]
    rest = [*splits, "--epochs", "1", "--output", str(tmp_path / "run"), "--set"]
    for model, setting in ((checkpoint, "whisper.pad_to_30s"), ("wav2vec2-nano", "energy.skip_bass")):
        result = CliRunner().invoke(main, ["finetune", "--model", str(model), *rest, f"{setting}=true"])
        assert result.exit_code == 2
        assert f"{setting} is set, but a " in result.output
        assert "encoder has no such option; leave it out" in result.output


def test_settings_of_the_head_are_checked_as_ours(installed: None) -> None:
    result = CliRunner().invoke(main, ["finetune", "--set", "whole_text.hidden_units=0"])
    assert result.exit_code == 2
    assert "whole_text.hidden_units is 0; wanted at least 1" in result.output
    result = CliRunner().invoke(main, ["finetune", "--set", "whole_text.hiden_units=1"])
    assert "did you mean whole_text.hidden_units?" in result.output


@pytest.mark.slow
def test_its_masking_is_used_in_training_with_its_settings(
    installed: None, corpus: Callable[..., Path], tmp_path: Path
) -> None:
    splits = [option for name in ("train", "dev") for option in (f"--{name}", corpus(name, ["a b", "c"]))]
    options = ["--epochs", 1, "--output", tmp_path / "run", "--set", "augment.masking=one-block"]
    run("finetune", "--model", "wav2vec2-nano", *splits, *options, "--set", "augment.one_block.size=0.5")
    assert "[augment.one_block]\nsize = 0.5" in (tmp_path / "run" / "config.toml").read_text()
    config = build(AugmentConfig, {"masking": "one-block", "one_block": {"size": 0.5}}, "augment.")
    mask = frame_mask([(1, 2), (3, 4)], torch.tensor([40, 20]), 8, config)
    assert mask is not None
    assert mask.frames.sum(1).tolist() == [20, 10]


@pytest.mark.slow
def test_settings_of_a_masking_that_is_not_chosen_are_reported(
    installed: None, corpus: Callable[..., Path], tmp_path: Path
) -> None:
    splits = [option for name in ("train", "dev") for option in (f"--{name}", corpus(name, ["a b", "c"]))]
    options = ["--epochs", 1, "--output", tmp_path / "run", "--set", "augment.one_block.size=0.5"]
    output = run("finetune", "--model", "wav2vec2-nano", *splits, *options).output
    assert "augment.one_block.size is 0.5, which has no effect in this run: augment.masking is spans" in output


def test_an_unknown_masking_is_reported(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["finetune", "--model", "wav2vec2-nano", "--train", "a", "--dev", "b", "--output", str(tmp_path / "run"), "--set", "augment.masking=span"])  # fmt: skip  # noqa: E501
    assert result.exit_code == 2
    assert "augment.masking is 'span'; wanted one of spans; did you mean spans?" in result.output


def test_what_is_not_installed_is_answered_with_what_is(tmp_path: Path) -> None:
    needed = [option for name in ("model", "train", "dev", "output") for option in (f"--{name}", tmp_path / name)]
    result = CliRunner().invoke(main, ["finetune", *map(str, needed), "--head", "whole-text"])
    assert result.exit_code == 2
    assert "head is 'whole-text'; wanted one of ctc, classification, seq2seq" in result.output


def test_no_file_of_ours_names_them() -> None:
    sources = (Path(__file__).parents[2] / "speechxfer").rglob("*.py")
    assert not [path for path in sources if "toy" in (text := path.read_text()) or "whole_text" in text]
