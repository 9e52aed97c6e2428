"""The card in the model's folder, read back as the hub reads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from speechxfer.errors import ConfigError
from speechxfer.report import write_model_card
from tests.report.conftest import SAID, Folder


def card_of(folder: Folder) -> ModelCard:
    path = write_model_card(folder.path)
    assert path == folder.path / "model" / "README.md"
    return ModelCard.load(path)


def test_front_matter_is_what_the_hub_reads(finished: Folder) -> None:
    data, after = card_of(finished).data, finished.read("metrics.json")["after"]
    assert data.library_name == "transformers"
    assert data.pipeline_tag == "automatic-speech-recognition"
    assert data.base_model == "org/tiny"
    assert data.language == "it"
    assert data.license == "unknown"
    found = {one.metric_type: one for one in data.eval_results or []}
    assert {name: one.metric_value for name, one in found.items()} == {
        "wer": pytest.approx(after["wer"], abs=1e-4),
        "cer": pytest.approx(after["cer"], abs=1e-4),
    }
    assert found["wer"].dataset_name == "spoken-letters"
    assert found["wer"].dataset_split == "test"


def test_text_has_figures_sizes_and_how_to_load(finished: Folder) -> None:
    text, after = card_of(finished).text, finished.read("metrics.json")["after"]
    low, high = after["intervals"]["bounds"]["wer"]
    assert f"| {after['wer']:.3f} | [{low:.3f}, {high:.3f}] |" in text
    assert "normalizer basic/2" in text
    assert "| train | 8 | 0:00:04 | 19 | 2 |" in text
    assert 'pipeline("automatic-speech-recognition", "path/to/this/folder")' in text
    assert "speechxfer transcribe path/to/this/folder recording.wav" in text


def test_no_path_or_transcript_is_given_away(finished: Folder) -> None:
    content = card_of(finished).content
    assert str(finished.corpus.parent) not in content
    assert not any(text in content for text in SAID if len(text) > 3)
    assert "tone.wav" not in content
    assert "ann" not in content.replace("channel", "").split()


def test_a_local_base_model_is_no_hub_id(finished: Folder, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    finished.config(model=str(tmp_path / "own"))
    card = card_of(finished)
    assert card.data.base_model is None
    assert "own adapted to spoken-letters" in card.text
    assert str(tmp_path) not in card.content


def test_only_here_where_transformers_has_no_such_model(finished: Folder) -> None:
    (finished.path / "model" / "config.json").unlink()
    card = card_of(finished)
    assert card.data.library_name == "speechxfer"
    assert "pipeline(" not in card.text


def test_classes(classified: Callable[[Sequence[str], Sequence[str]], Folder]) -> None:
    folder = classified(["go", "stop"] * 5, ["go"] * 10)
    (folder.path / "model").mkdir()
    card = card_of(folder)
    assert card.data.pipeline_tag == "audio-classification"
    assert {one.metric_type: one.metric_value for one in card.data.eval_results or []}["accuracy"] == 0.5
    assert "(go, stop)" in card.text
    assert "speechxfer classify" in card.text


def test_without_figures(empty: Folder) -> None:
    with pytest.raises(ConfigError, match="has no model yet"):
        write_model_card(empty.path)
    (empty.path / "model").mkdir()
    card = card_of(empty)
    assert not card.data.eval_results
    assert "Not measured." in card.text
