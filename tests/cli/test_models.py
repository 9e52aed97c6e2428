"""`speechxfer models show`, and the plan's options, which `finetune` has too."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from speechxfer.cli import main
from tests.training.conftest import texts


def show(*arguments: str) -> tuple[int, dict[str, list[str]], str]:
    """Exit status, the table's rows by part, and everything that was written."""
    result = CliRunner().invoke(main, ["models", "show", *arguments])
    lines = [line.split() for line in result.stderr.splitlines()[1:]]
    return result.exit_code, {" ".join(line[:2]): line for line in lines}, result.stdout + result.stderr


def test_the_table_says_what_moves_how_fast_and_from_when_on() -> None:
    status, rows, text = show("wav2vec2-nano", "--plan", "fine-tune", "--layer-decay", "0.5", "--unfreeze-at", "0@3")
    assert status == 0
    assert "4 layers of width 384" in text
    assert rows["convolutions frozen"] == ["convolutions", "frozen", "562,688"]
    assert rows["layer 0"][2:] == ["trained", "3.75e-05", "3", "1,774,464"]
    assert rows["layer 3"][2:] == ["trained", "0.0003", "1", "1,775,232"]
    assert rows["new head"][2:5] == ["new", "0.003", "1"]


def test_a_preset_may_shorten_the_model_or_train_adapters() -> None:
    assert "layer 2" not in show("wav2vec2-nano", "--plan", "lower-layers")[1]
    assert show("wav2vec2-nano", "--plan", "lora", "--train-top", "1")[1]["layer 3"][2] == "adapters"


def test_the_decoder_is_shown_where_it_is_the_head(spelling_whisper: Path) -> None:
    rows = show(str(spelling_whisper), "--head", "seq2seq", "--plan", "feature-extraction")[1]
    assert rows["layer 1"][2] == "frozen"
    assert rows["decoder layer"][3:5] == ["trained", "0.0001"]
    assert "ctc head" in show(str(spelling_whisper), "--head", "ctc")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plan", "finetune"], "--plan 'finetune': wanted one of feature-extraction"),
        (["--plan", "none.toml"], "none.toml: cannot be read"),
        (["--drop-top", "4"], "plan.drop_top is 4, but the encoder has 4 layers"),
        (["--unfreeze-at", "3@2,3@4"], "unfreezes layer 3 a second time"),
        (["--head", "seq2seq"], "wav2vec2-nano has none"),
        (["--layer-decay", "2"], "plan.layer_decay is 2.0"),
    ],
)
def test_a_mistake_is_reported_in_a_line(arguments: list[str], message: str) -> None:
    status, _, text = show("wav2vec2-nano", *arguments)
    assert status != 0
    assert message in text
    assert "Traceback" not in text


def test_published_models_are_listed_by_job_and_language() -> None:
    result = CliRunner().invoke(main, ["models", "list"])
    assert result.exit_code == 0
    assert result.stdout.index("To try things out") < result.stdout.index("wav2vec2-nano ")
    row = next(line.split() for line in result.stdout.splitlines() if line.startswith("facebook/wav2vec2-base-960h"))
    assert row[1:8] == ["94", "M", "94", "M", "7.4", "50", "768"]
    assert row[8:] == ["en", "apache-2.0"]
    italian = CliRunner().invoke(main, ["models", "list", "--language", "Italian"]).stdout
    assert "openai/whisper-base" in italian
    assert "wav2vec2-base-960h" not in italian


def test_an_unknown_language_is_reported() -> None:
    result = CliRunner().invoke(main, ["models", "list", "--language", "Itallian"])
    assert result.exit_code == 2
    assert "--language is 'Itallian', which is no known language; did you mean Italian?" in result.stderr


@pytest.mark.parametrize("arguments", [[], ["--drop-top", "1"], ["--reinit-top", "1", "--train-top", "1"], ["--weighted-layer-sum"]])  # fmt: skip  # noqa: E501
def test_a_model_of_the_hub_is_shown_without_its_weights(
    arguments: list[str], cached: Callable[..., Path], spelling_whisper: Path
) -> None:
    folder = cached("somebody/tiny", spelling_whisper)
    arguments = ["somebody/tiny", "--head", "seq2seq", *arguments]
    whole = show(*arguments)
    (folder / "model.safetensors").unlink()
    assert show(*arguments) == whole
    assert whole[0] == 0


def test_a_plan_file_replaces_the_plan_of_a_configuration_and_options_change_it(
    corpus: Callable[..., Path], whisper_folder: Path, tmp_path: Path
) -> None:
    config, plan, output = tmp_path / "config.toml", tmp_path / "plan.toml", tmp_path / "run"
    config.write_text("[plan]\ntrain_top = 2\nhead_lr = 0.5\n[training]\nepochs = 9\n")
    plan.write_text('[plan]\npreset = "fine-tune-top"\nencoder_lr = 1e-3\n[training]\nbatch_seconds = 8.0\n')
    manifests = ["--train", str(corpus("train", texts(8, 1))), "--dev", str(corpus("dev", texts(2, 2)))]
    arguments = ["finetune", "--config", str(config), "--plan", str(plan), "--model", str(whisper_folder), *manifests]
    arguments += ["--output", str(output), "--epochs", "1", "--device", "cpu", "--encoder-lr", "2e-3"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.stderr
    written = tomllib.loads((output / "config.toml").read_text())
    assert written["plan"] == {"preset": "fine-tune-top", "encoder_lr": 2e-3}
    assert (written["training"]["epochs"], written["training"]["batch_seconds"]) == (1, 8.0)


def test_a_file_without_a_plan_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text("[training]\nepochs = 3\n")
    status, _, text = show("wav2vec2-nano", "--plan", str(path))
    assert status != 0
    assert "plan.toml: has no table [plan]" in text
