from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import speechxfer as sx
from tests.alignment.test_aligned_words import joined, random_words, silence
from tests.conftest import tone

Recording = Callable[..., Path]


def test_utterances_lose_the_silence_around_their_words(model: sx.SpeechModel, recording: Recording) -> None:
    samples = np.concatenate([silence(2), tone("abc"), silence(3)])
    data = [{"audio": str(recording(samples)), "text": "Abc.", "speaker": "x", "start": 1.0}]
    (found,) = sx.align_manifest(model, data).manifest
    assert (found.text, found.speaker) == ("Abc.", "x")
    assert found.start == pytest.approx(2.05 - 0.15, abs=0.05)
    assert found.duration == pytest.approx(0.425 + 0.3, abs=0.06)
    assert found.extra["confidence"] > 0.9


def test_a_script_becomes_utterances(model: sx.SpeechModel, recording: Recording, tmp_path: Path) -> None:
    words = random_words(12)
    samples, spans = joined(words, 0.4)
    script = tmp_path / "a.txt"
    script.write_text(f"{' '.join(words[:3])}. {' '.join(words[3:6])}!\n\n{' '.join(words[6:])}\n")
    found = sx.align_manifest(model, script, audio=recording(samples), max_s=5.0)
    texts = [utterance.text or "" for utterance in found.manifest]
    assert texts[:2] == [f"{' '.join(words[:3])}.", f"{' '.join(words[3:6])}!"]
    assert len(texts) > 3
    assert " ".join(texts[2:]).split() == words[6:]
    for utterance in found.manifest:
        assert utterance.duration is not None
        assert utterance.duration <= 5.0
    assert found.manifest[1].start == pytest.approx(spans[3][0] - 0.15, abs=0.06)
    assert not found.mismatches


def test_subtitles_that_overlap(model: sx.SpeechModel, recording: Recording, tmp_path: Path) -> None:
    samples, spans = joined(["abc", "cab"])
    subtitles = tmp_path / "a.vtt"
    subtitles.write_text("WEBVTT\n\n00:00.000 --> 00:03.000\nAbc\n\n00:01.000 --> 00:02.000\nCab\n")
    found = sx.align_manifest(model, subtitles, audio=recording(samples))
    assert [utterance.text for utterance in found.manifest] == ["Abc", "Cab"]
    assert found.manifest[1].start == pytest.approx(spans[1][0] - 0.15, abs=0.06)


def test_what_does_not_match_is_left_out_and_listed(model: sx.SpeechModel, recording: Recording) -> None:
    samples, _ = joined(["abc", "cab"])
    data = [
        {"audio": str(recording(samples, "a.wav")), "text": "abc cab"},
        {"audio": str(recording(samples, "b.wav")), "text": "bbbbbbb bcccccccb"},
        {"audio": str(recording(silence(3.0), "c.wav")), "text": "abc"},
        {"audio": str(recording(samples, "d.wav")), "text": "abc aaaaaaa"},
    ]
    warnings: list[str] = []

    class Listener(sx.Progress):
        def warn(self, message: str, kind: str = "") -> None:
            warnings.append(message)

    found = sx.align_manifest(model, data, progress=Listener())
    assert [Path(utterance.audio).name for utterance in found.manifest] == ["a.wav"]
    assert ["does not match" in warning for warning in warnings] == [True, True]
    kinds = [str(one.kind) for one in found.mismatches if one.audio.endswith("d.wav")]
    assert sorted(kinds) == ["doubtful", "no text", "not said"]


def test_none_matches(model: sx.SpeechModel, recording: Recording) -> None:
    with pytest.raises(sx.DataError, match="does not match"):
        sx.align_manifest(model, [{"audio": str(recording(silence(3.0))), "text": "abc"}])
