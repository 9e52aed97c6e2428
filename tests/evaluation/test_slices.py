"""Parts of a test set: by column, by length, by noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Classification, Hypothesis
from speechxfer.errors import ConfigError
from speechxfer.evaluation.noise import snr_db
from speechxfer.evaluation.results import Evaluation, compare
from speechxfer.evaluation.slices import check_columns, slices


def evaluated(rows: list[tuple[str, str, dict[str, Any]]], **known: Any) -> Evaluation:
    """Rows of (reference, hypothesis, other columns)."""
    data = Manifest(
        Utterance(audio=f"{number}.wav", text=row[0], extra=row[2], **known) for number, row in enumerate(rows)
    )
    return compare(data, [Hypothesis(row[1]) for row in rows], TextNormalizer())


def found(evaluation: Evaluation, column: str) -> dict[str, tuple[int, float | None]]:
    return {part.value: (part.utterances, part.rate) for part in slices(evaluation, column)}


def test_a_slice_has_the_rate_of_its_words() -> None:
    rows = [("a b c", "a b x", {"gender": "f"}), ("a", "a", {"gender": "f"}), ("a b", "a b", {"gender": "m"})]
    assert found(evaluated(rows), "gender") == {"f": (2, 0.25), "m": (1, 0.0)}


def test_what_has_no_value_is_a_slice_of_its_own() -> None:
    rows = [("a", "a", {"gender": "f"}), ("a", "b", {})]
    assert found(evaluated(rows), "gender") == {"f": (1, 0.0), "(none)": (1, 1.0)}


def test_slices_add_up_to_the_whole() -> None:
    dice = np.random.default_rng(0)
    rows = [
        (" ".join(dice.choice(list("abc"), 4)), " ".join(dice.choice(list("abc"), 4)), {"rate": float(dice.normal())})
        for _ in range(60)
    ]
    evaluation = evaluated(rows)
    parts = slices(evaluation, "rate")
    assert [part.utterances for part in parts] == [12] * 5  # numbers without bins of their own are cut into fifths
    errors = [part.words.errors for part in parts if part.words]
    assert sum(errors) == sum(result.errors for result in evaluation.results)
    assert all(part.intervals.bounds for part in parts)


def test_lengths_fall_into_bins_in_order() -> None:
    rows = [("a b c d", "a b c d", {}), ("a", "a", {}), ("a " * 30, "a", {})]
    assert list(found(evaluated(rows), "words")) == ["1 to < 3", "3 to < 6", "≥ 21"]
    assert list(found(evaluated(rows, duration=5.0), "duration")) == ["5 to < 10 s"]
    assert list(found(evaluated(rows, duration=0.5), "duration")) == ["< 1 s"]


def test_ages_are_numbers_or_names() -> None:
    numbers = [("a", "a", {"age": age}) for age in (61, 9, "25", 18)]
    assert list(found(evaluated(numbers), "age")) == ["< 18", "18 to < 30", "60 to < 70"]
    names = [("a", "a", {"age": age}) for age in ("twenties", "fifties")]
    assert list(found(evaluated(names), "age")) == ["fifties", "twenties"]


def test_speakers_called_by_numbers_are_names() -> None:
    assert list(found(evaluated([("a", "a", {})], speaker="0024"), "speaker")) == ["0024"]


def test_a_slice_of_silence_has_insertions_and_no_rate() -> None:
    part, other = slices(evaluated([("", "a b", {"kind": "silent"}), ("a", "a", {"kind": "speech"})]), "kind")
    assert (part.value, part.rate) == ("silent", None)
    assert part.row() == ("silent", "1", "0", "2 inserted")
    assert other.row() == ("speech", "1", "1", "0.000")
    assert json.loads(json.dumps(part.to_dict()))["insertions"] == 2


def test_an_unknown_column_is_reported_with_the_known_ones() -> None:
    evaluation = evaluated([("a", "a", {"gender": "f", "age": 3})], speaker="x")
    message = r"--slice gendre: .* wanted one of: speaker, duration, snr, words, gender, age"
    with pytest.raises(ConfigError, match=message):
        check_columns(Manifest(result.utterance for result in evaluation.results), ["age", "gendre"])


def test_classes_have_slices_too() -> None:
    data = Manifest(
        Utterance(audio=f"{number}.wav", label="yes", extra={"room": "quiet" if number < 8 else "loud"})
        for number in range(16)
    )
    says = [Classification(("no", "yes"), (float(number >= 12), float(number < 12))) for number in range(16)]
    loud, quiet = slices(compare(data, says, TextNormalizer()), "room")
    assert (loud.value, loud.rate, quiet.rate) == ("loud", 0.5, 0.0)
    assert quiet.row() == ("quiet", "8", "", "0.000 [0.000, 0.324]")


def speech_in_noise(db: float, seed: int = 0) -> np.ndarray:
    """Bursts of sound with pauses between them, and white noise beneath."""
    dice = np.random.default_rng(seed)
    time = np.arange(3 * 16_000) / 16_000
    speech = np.sin(2 * np.pi * 300 * time) * (np.sin(2 * np.pi * 1.0 * time) > 0)
    noise = dice.normal(size=len(time))
    scale = np.sqrt(np.mean(speech**2) / np.mean(noise**2) / 10 ** (db / 10))
    return (0.1 * (speech + scale * noise)).astype(np.float32)


@pytest.mark.parametrize("db", [5, 15, 25, 40])
def test_noise_is_estimated_where_there_are_pauses(db: float) -> None:
    found = snr_db(speech_in_noise(db))
    assert found == pytest.approx(db, abs=1.5)
    assert snr_db(0.01 * speech_in_noise(db)) == pytest.approx(found or 0.0, abs=0.01)  # loudness is no matter
    assert snr_db(np.concatenate([np.zeros(16_000, np.float32), speech_in_noise(db)])) == pytest.approx(found or 0.0)


def test_what_cannot_be_told_is_none() -> None:
    assert snr_db(np.zeros(16_000, dtype=np.float32)) is None
    assert snr_db(np.full(16_000, 0.5, dtype=np.float32)) is None
    assert snr_db(np.zeros(0, dtype=np.float32)) is None
    assert snr_db(speech_in_noise(20)[:1_000]) is None


def test_slices_by_estimated_noise(tmp_path: Path) -> None:
    lines = []
    for number, db in enumerate((5, 25, 26)):
        soundfile.write(tmp_path / f"{number}.wav", speech_in_noise(db, number), 16_000)
        lines.append({"audio": f"{number}.wav", "text": "a b"})
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    data = Manifest.read(tmp_path / "test.jsonl")
    evaluation = compare(data, [Hypothesis(text) for text in ("x y", "a b", "a x")], TextNormalizer())
    assert found(evaluation, "snr") == {"0 to < 10 dB": (1, 1.0), "20 to < 30 dB": (2, 0.25)}


def test_the_speaker_by_another_name() -> None:
    evaluation = evaluated([("a", "a", {}), ("a", "b", {})], speaker="ann")
    assert found(evaluation, "client_id") == found(evaluation, "speaker") == {"ann": (2, 0.5)}
