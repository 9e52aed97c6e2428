"""Probes find where a task is solved, on tones that a tiny random model keeps apart, and refuse what has no result."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from speechxfer.cli import main
from speechxfer.data.labels import ClassLabels
from speechxfer.data.loading import read
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import ConfigError, DataError
from speechxfer.opening import open_checkpoint
from speechxfer.planner.probe import Probe, Row, Standardized, predict_classes, probe
from speechxfer.planner.states import sample, states_at_seams
from speechxfer.progress import Progress
from tests.training.conftest import Log


@pytest.fixture
def encoder(whisper_folder: Path) -> Encoder:
    return open_checkpoint(find(str(whisper_folder))).encoder.eval()


def test_states_of_a_cut_are_those_of_a_run_to_it(encoder: Encoder, spoken: dict[str, Path]) -> None:
    manifest = Manifest.read(spoken["dev"])
    raw, *seams = states_at_seams(encoder, manifest, [0, 2], Progress())
    assert [one.seam for one in seams] == [0, 2]
    waveforms, num_samples = encoder.collate([read(manifest[0])])
    with torch.inference_mode():
        hidden_states, num_frames = encoder.frontend(waveforms, num_samples)
        wanted = encoder.run(hidden_states, num_frames, 0, 2)[0]
    torch.testing.assert_close(seams[1].states[0].float(), wanted, rtol=2e-3, atol=2e-3)
    assert len(raw.states[0]) == len(wanted)


def test_a_sample_is_drawn_from_all_classes_and_ends_in_time() -> None:
    lines = [Utterance(audio="x", label=label, duration=1.0) for label in "a" * 50 + "b" * 3]
    drawn = sample(Manifest(lines), 6.0)
    assert drawn.duration_s == 6.0
    assert sorted(utterance.label or "" for utterance in drawn) == list("aaabbb")


def test_classes_are_reported_where_frames_differ_and_not_where_they_do_not() -> None:
    torch.manual_seed(0)
    lines = [Utterance(audio="x", label="ab"[number % 2]) for number in range(20)]
    labels = ClassLabels(["a", "b"])
    shifted = [torch.randn(9, 4) + number % 2 * 3 for number in range(20)]
    found = predict_classes(Standardized(shifted[:10], shifted[10:]), Manifest(lines[:10]), labels)
    assert [item.label for item in found] == [line.label for line in lines[10:]]
    same = [torch.ones(9, 4)] * 20
    found = predict_classes(Standardized(same[:10], same[10:]), Manifest(lines[:10]), labels)
    assert {round(probability, 3) for item in found for probability in item.probabilities} == {0.5}


def test_a_probe_of_classes_has_a_row_for_each_layer(encoder: Encoder, classes: Callable[..., Path]) -> None:
    train, dev = Manifest.read(classes("t", "abc" * 4)), Manifest.read(classes("d", "abc"))
    found = probe(encoder, "tiny", train, dev, head="classification")
    assert [(row.name, row.seam) for row in found.rows] == [
        ("log-mel", None), ("convolutions", 0), ("layer 0", 1), ("layer 1", 2),
    ]  # fmt: skip
    assert found.raw.error == 0.0  # tones are found by their bins
    assert found.rows[0].figures["macro_f1"] == 1.0


@pytest.mark.slow
def test_a_probe_of_texts_learns_to_spell(encoder: Encoder, spoken: dict[str, Path]) -> None:
    manifest = Manifest.read(spoken["train"])
    found = probe(encoder, "tiny", manifest, manifest, seams=[1])
    assert [row.seam for row in found.rows] == [None, 1]
    assert found.raw.error < 0.5
    assert set(found.raw.figures) == {"cer", "wer"}
    again = probe(encoder, "tiny", manifest, manifest, seams=[1])
    assert again.rows == found.rows


def test_best_height_and_gain() -> None:
    rows = tuple(Row(str(seam), seam, error, {"cer": error}) for seam, error in ((None, 0.8), (0, 0.6), (1, 0.2), (2, 0.2)))  # fmt: skip  # noqa: E501
    found = Probe("m", "ctc", 2, 1.0, 1.0, rows)
    assert (found.best.seam, found.height) == (1, 0.5)
    assert found.gain == pytest.approx(0.75)


def test_a_layer_that_is_not_there(encoder: Encoder, spoken: dict[str, Path]) -> None:
    manifest = Manifest.read(spoken["dev"])
    with pytest.raises(ConfigError, match=r"layer 3: whisper encoder has 2 layers; wanted 0 .* to 2"):
        probe(encoder, "tiny", manifest, manifest, seams=[1, 3])


def test_one_utterance_is_too_little(encoder: Encoder, spoken: dict[str, Path], corpus: Callable[..., Path]) -> None:
    single = Manifest.read(corpus("single", ["abc"]))
    with pytest.raises(DataError, match=r"single.jsonl: holds one utterance; .*add some"):
        probe(encoder, "tiny", single, Manifest.read(spoken["dev"]))
    with pytest.raises(DataError, match=r"dev.jsonl: only one of 6 utterances fits .*--sample"):
        probe(encoder, "tiny", Manifest.read(spoken["train"]), Manifest.read(spoken["dev"]), seconds=1.0)


def test_a_class_that_is_not_trained(encoder: Encoder, classes: Callable[..., Path]) -> None:
    train, dev = Manifest.read(classes("t", "ab")), Manifest.read(classes("d", "abc"))
    with pytest.raises(DataError, match=r"d.jsonl:5: label 'c' is not one of the trained classes: a, b"):
        probe(encoder, "tiny", train, dev, head="classification")


def test_the_command_writes_figures_and_a_picture(
    whisper_folder: Path, classes: Callable[..., Path], tmp_path: Path
) -> None:
    arguments = ["probe", "--model", str(whisper_folder), "--head", "classification", "--layers", "0,2"]
    files = ["--train", str(classes("t", "abab")), "--dev", str(classes("d", "ab")), "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(main, [*arguments, *files])
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert [row["seam"] for row in found["rows"]] == [None, 0, 2]
    assert found["similarity"]["measures"][0]["name"] == "probe gain"
    assert (tmp_path / "out" / "probe.png").read_bytes().startswith(b"\x89PNG")
    wrong = CliRunner().invoke(main, [*arguments[:-1], "0,x", *files])
    assert wrong.exit_code == 2
    assert "--layers '0,x': wanted numbers" in wrong.output


@pytest.mark.slow
def test_what_cannot_be_learned_from_is_left_out_of_a_probe(encoder: Encoder, spoken: dict[str, Path]) -> None:
    """A file that is no audio, whether its length is known or not, and a text that no frames can spell."""
    train = spoken["train"]
    (train.parent / "letter.wav").write_text("Dear Sir or Madam, ...")
    lines = [{"audio": "letter.wav", "text": "a"}, {"audio": "letter.wav", "text": "a", "duration": 0.5}]
    lines.append({"audio": "train0.wav", "text": "abc" * 500})
    train.write_text(train.read_text() + "".join(json.dumps(line) + "\n" for line in lines))
    logged = Log()
    manifests = [Manifest.read(spoken[name]) for name in ("train", "dev")]
    found = probe(encoder, "m", *manifests, progress=logged)
    assert all(math.isfinite(row.error) for row in found.rows)
    assert sum("cannot be read and are not used" in message for message in logged.messages) == 2


@pytest.mark.parametrize(("split", "text", "seen"), [("train", "", "holds a word"), ("dev", "...", "holds a word"), ("train", "abc" * 500, "has enough frames for its text")])  # fmt: skip  # noqa: E501
def test_a_probe_of_nothing_is_refused(
    split: str, text: str, seen: str, encoder: Encoder, spoken: dict[str, Path]
) -> None:
    path = spoken[split]
    lines = [{**json.loads(line), "text": text} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    manifests = [Manifest.read(spoken[name]) for name in ("train", "dev")]
    with pytest.raises(DataError, match=rf"{split}\.jsonl: none of .*{seen}"):
        probe(encoder, "m", *manifests)
