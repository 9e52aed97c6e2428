from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import speechxfer as sx
from tests.conftest import tone


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * 16_000), np.float32)


def joined(texts: list[str], pause_s: float = 0.5) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Tones with pauses before, between and after them, and when each text sounds."""
    parts, spans, at = [silence(pause_s)], [], pause_s
    for text in texts:
        sound = tone(text)
        spans.append((at + 0.05, at + len(sound) / 16_000 - 0.025))
        parts += [sound, silence(pause_s)]
        at += len(sound) / 16_000 + pause_s
    return np.concatenate(parts), spans


def random_words(count: int, seed: int = 0) -> list[str]:
    generator = np.random.default_rng(seed)
    return ["".join(generator.choice(list("abc"), generator.integers(3, 8))) for _ in range(count)]


def test_words_have_the_times_of_their_sound(model: sx.SpeechModel) -> None:
    samples, spans = joined(["abc", "cab", "bb"])
    found = sx.align(model, samples, "Abc, cab - BB!", sample_rate=16_000, characters=True)
    (segment,) = found.transcript.segments
    assert [word.text for word in segment.words] == ["Abc,", "cab -", "BB!"]
    for word, (start, end) in zip(segment.words, spans, strict=True):
        assert word.start == pytest.approx(start, abs=0.04)
        assert word.end == pytest.approx(end, abs=0.04)
        assert word.confidence == pytest.approx(1.0, abs=0.2)
    assert found.matched == 1.0
    assert not found.mismatches
    assert found.characters is not None
    assert ["".join(one.text for one in word) for word in found.characters] == ["abc", "cab", "bb"]
    for word, characters in zip(segment.words, found.characters, strict=True):
        times = [time for one in characters for time in (one.start, one.end)]
        assert times == sorted(times)
        assert times[0] == word.start
        assert times[-1] == word.end


def test_what_differs_is_found(model: sx.SpeechModel) -> None:
    samples, spans = joined(["abc", "bcbcb", "cab", "bab"])
    found = sx.align(model, samples, "abc cab\naccca bab", sample_rate=16_000)
    speech, word = found.mismatches
    assert (speech.kind, speech.text) == ("no text", "bcbcb")
    assert speech.start == pytest.approx(spans[1][0], abs=0.06)
    assert speech.end == pytest.approx(spans[1][1], abs=0.06)
    assert (word.kind, word.text) == ("not said", "accca")
    assert spans[2][1] - 0.06 <= word.start <= word.end <= spans[3][0] + 0.06
    assert found.matched == pytest.approx(3 / 4)
    assert [segment.text for segment in found.transcript.segments] == ["abc cab", "bab"]
    assert found.lines == (0, 1)


def test_a_long_recording_is_aligned_in_parts(model: sx.SpeechModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from speechxfer.alignment import paths

    words = random_words(150)
    samples, spans = joined(words, 0.2)
    whole = sx.align(model, samples, " ".join(words), sample_rate=16_000)
    monkeypatch.setattr(paths, "_PART_FRAMES", 1 << 30)
    assert sx.align(model, samples, " ".join(words), sample_rate=16_000) == whole
    monkeypatch.undo()
    # Without parts so much would not be aligned at all.
    monkeypatch.setattr(paths, "_MOST_CELLS", 3_000_000)
    imperfect = [word for number, word in enumerate(words) if not 60 <= number < 70]
    found = sx.align(model, samples, "\n".join(imperfect), sample_rate=16_000)
    assert found.matched > 0.97
    missing = [one for one in found.mismatches if one.kind == "no text"]
    assert min(one.start for one in missing) == pytest.approx(spans[60][0], abs=0.3)
    assert max(one.end for one in missing) == pytest.approx(spans[69][1], abs=0.3)


def test_long_silence_keeps_times(model: sx.SpeechModel) -> None:
    samples = np.concatenate([silence(5), tone("abc"), silence(20), tone("cab"), silence(3)])
    (segment,) = sx.align(model, samples, "abc cab", sample_rate=16_000).transcript.segments
    length = len(tone("abc")) / 16_000
    assert [word.start for word in segment.words] == pytest.approx([5.05, 25.05 + length], abs=0.05)


@pytest.mark.parametrize(
    ("samples", "text", "problem"),
    [
        (joined(["abc"])[0], " \n ", "the text: has no word"),
        (joined(["abc"])[0], "... - !", "the text: has no word"),
        (joined(["abc"])[0], "xyz щы", "lacks 5 of its characters"),
        (silence(3.0), "abc cab", "does not match the text: 0% of the words"),
        (joined(["abca", "aabc"])[0], "ccbcb bcbbc cbcbc", "does not match the text: 0% of the words"),
        (tone("a"), "abcabc " * 30, "does not match the text"),
    ],
)
def test_bad_input(model: sx.SpeechModel, samples: np.ndarray, text: str, problem: str) -> None:
    with pytest.raises(sx.DataError, match=problem):
        sx.align(model, samples, text, sample_rate=16_000)


def test_characters_that_the_model_lacks(model: sx.SpeechModel) -> None:
    samples, spans = joined(["abc", "bbb", "cab"])
    found = sx.align(model, samples, "abzc 123 cab", sample_rate=16_000)
    (segment,) = found.transcript.segments
    assert [word.text for word in segment.words] == ["abzc", "123", "cab"]
    assert segment.words[1].start == pytest.approx(spans[1][0], abs=0.1)


def test_subtitles(model: sx.SpeechModel, recording: Callable[..., Path], tmp_path: Path) -> None:
    samples, spans = joined(["abc", "cab", "bab"])
    path = tmp_path / "a.srt"
    path.write_text("1\n00:00:00,000 --> 00:00:02,000\nAbc cab\n\n2\n00:00:01,000 --> 00:00:03,000\n- Bab.\n")
    found = sx.align(model, recording(samples), path)
    assert [segment.text for segment in found.transcript.segments] == ["Abc cab", "- Bab."]
    assert found.transcript.segments[1].start == pytest.approx(spans[2][0], abs=0.05)


def test_a_model_without_ctc(model: sx.SpeechModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(model.head), "is_frame_synchronous", False)
    with pytest.raises(sx.ConfigError, match="does not align; wanted a model with a CTC head"):
        sx.align(model, tone("abc"), "abc", sample_rate=16_000)


def test_times_of_subtitles_tell_repeated_words_apart(model: sx.SpeechModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from speechxfer.alignment.emissions import Emissions, fill
    from speechxfer.alignment.paths import find_path
    from speechxfer.alignment.script import Line, Script

    words = random_words(40)
    samples, spans = joined([*words, *random_words(60, 1), *words], 0.2)
    middles = [(start + end) / 2 for start, end in spans[100:]]

    def middle_word(shown: list[float] | None) -> float:
        times = shown or [None] * len(words)
        lines = [Line(word, None if at is None else (at - 1, at + 1)) for word, at in zip(words, times, strict=True)]
        with Emissions(range(5), 0.02) as emissions:
            fill(emissions, model, [samples])
            path = find_path(emissions, Script(lines, model.head), model.head.symbol_texts)
            return float(emissions.starts[np.flatnonzero(path.word == 20)[0]])

    assert middle_word([at + 3.0 for at in middles]) == pytest.approx(spans[120][0], abs=0.06)
    assert middle_word([at + 900.0 for at in middles]) == middle_word(None)
