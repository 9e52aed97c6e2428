from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from speechxfer.cli import main
from speechxfer.data.manifest import Manifest
from speechxfer.errors import ConfigError, DataError
from speechxfer.families.whisper.decoder import WhisperSeq2SeqHead
from speechxfer.truecasing import truecased
from tests.training.conftest import texts


def likes(*words: str) -> Callable[..., list[list[float]]]:
    """A decoder that finds texts the likelier, the more of these words they hold."""

    def scores(_head: Any, _states: Any, _frames: Any, candidates: Sequence[Sequence[str]], *_options: object) -> Any:
        return [[float(sum(text.split().count(word) for word in words)) for text in some] for some in candidates]

    return scores


def test_case_and_end_mark_are_what_the_decoder_finds_likelier(
    corpus: Callable[..., Path], spelling_whisper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WhisperSeq2SeqHead, "log_probabilities", likes("B", "aa?", "I'm", "CB."))
    written = ["b B AA", "ca i'm b AA", "B CB.", "ÉA b?", "c c", "a b-"]
    manifest = Manifest.read(corpus("some", ["a"] * len(written)))
    manifest = Manifest([replace(one, text=text) for one, text in zip(manifest, written, strict=True)])
    found = truecased(manifest, str(spelling_whisper), device="cpu")
    assert found.texts == ["B B aa?", "Ca I'm B aa?", "B cb.", "Éa b?", "C c.", "A b-"]


@example(["ı ß ẞ İ ŉ"])  # noqa: RUF001
@given(st.lists(st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=12), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_words_stay_what_they_are(corpus: Callable[..., Path], spelling_whisper: Path, written: list[str]) -> None:
    manifest = Manifest.read(corpus("some", ["a"] * len(written)))
    manifest = Manifest([replace(one, text=text) for one, text in zip(manifest, written, strict=True)])
    found = truecased(manifest, str(spelling_whisper), device="cpu")
    for text, before in zip(found.texts, written, strict=True):
        assert (text or "").casefold().split()[:-1] == before.lower().casefold().split()[:-1]
        assert (text or "").casefold().rstrip(".?! ").split() == before.lower().casefold().rstrip(".?! ").split()


def test_on_the_command_line(corpus: Callable[..., Path], spelling_whisper: Path, tmp_path: Path) -> None:
    source, output = corpus("some", texts(5, 1)), tmp_path / "new" / "some.jsonl"
    arguments = ["manifest", "truecase", str(source), str(output), "--model", str(spelling_whisper), "--device", "cpu"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    found, before = Manifest.read(output), Manifest.read(source)
    assert [one.path.resolve() for one in found] == [one.path for one in before]
    assert [(text or "")[0] for text in found.texts] == [(text or "")[0].upper() for text in before.texts]
    assert "exists already" in CliRunner().invoke(main, arguments).output
    other = CliRunner().invoke(main, [*arguments, "--overwrite", "--language", "it"])
    assert (other.exit_code, "knows English only" in other.output) == (2, True)


def test_a_model_without_decoder_is_reported(corpus: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="wav2vec2-nano: has no decoder to score spellings with; wanted"):
        truecased(Manifest.read(corpus("some", ["a"])), "wav2vec2-nano", device="cpu")


def test_a_text_longer_than_the_decoder_is_reported(corpus: Callable[..., Path], spelling_whisper: Path) -> None:
    manifest = Manifest.read(corpus("long", ["a b"]))
    long = Manifest([replace(manifest[0], text="abc " * 12)])
    with pytest.raises(DataError, match=r"long\.jsonl:1: its text takes about \d+ tokens, .* has 32 positions"):
        truecased(long, str(spelling_whisper), device="cpu")


def test_what_says_nothing_stays_as_it_is(corpus: Callable[..., Path], spelling_whisper: Path) -> None:
    manifest = Manifest.read(corpus("some", ["a", "b", "c"]))
    empty = Manifest([replace(one, text=text) for one, text in zip(manifest, ("", None, "a ß"), strict=True)])
    assert truecased(empty, str(spelling_whisper), device="cpu").texts[:2] == ["", None]
