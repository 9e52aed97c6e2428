"""The spoken digits recipe: the split, the folds without a speaker, and where the recordings come from."""

from __future__ import annotations

import io
import json
import tarfile
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

import speechxfer as sx

pytest.importorskip("num2words")
prepare = pytest.importorskip("recipes.spoken_digits.prepare")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "original" / "recordings"
    folder.mkdir(parents=True)
    for digit in (0, 7):
        for speaker in ("ann", "bo"):
            for take in (0, 4, 5, 9, 10, 49):
                soundfile.write(folder / f"{digit}_{speaker}_{take}.wav", np.zeros(800), 8_000)
    (folder / "pip_requirements.txt").write_text("no sound")
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(prepare.main, list(map(str, arguments)))


def names(manifest: Path) -> set[str]:
    return {utterance.path.name for utterance in sx.Manifest.read(manifest)}


def test_takes_decide_and_dev_is_never_of_the_test(corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "digits"
    assert run("--corpus", corpus.parent, "--output", output).exit_code == 0
    takes = {
        split: sorted({int(name.split("_")[2].removesuffix(".wav")) for name in names(output / f"{split}.jsonl")})
        for split in ("train", "dev", "test")
    }
    assert takes == {"train": [10, 49], "dev": [5, 9], "test": [0, 4]}
    first = sx.Manifest.read(output / "test.jsonl")[0]
    assert (first.label, first.text, first.speaker, first.duration) == ("zero", "zero", "ann", 0.1)
    assert first.path.read_bytes() == (corpus / first.path.name).read_bytes()


def test_one_speaker_at_a_time_is_only_tested_on(corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "digits"
    run("--corpus", corpus, "--output", output)
    folds = sorted(path.name for path in output.glob("without-*"))
    assert folds == ["without-ann", "without-bo"]
    for fold in folds:
        speakers = {
            split: {utterance.speaker for utterance in sx.Manifest.read(output / fold / f"{split}.jsonl")}
            for split in ("train", "dev", "test")
        }
        assert speakers["test"] == {fold.removeprefix("without-")}
        assert not speakers["test"] & (speakers["train"] | speakers["dev"])
        assert not names(output / fold / "train.jsonl") & names(output / fold / "dev.jsonl")
        sx.Manifest.read(output / fold / "test.jsonl").check_files()


def test_made_once_and_never_over_something_else(corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "digits"
    run("--corpus", corpus, "--output", output)
    again = run("--corpus", corpus, "--output", output)
    assert (again.exit_code, "already" in again.stderr) == (0, True)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("precious")
    refused = run("--corpus", corpus, "--output", tmp_path / "thesis")
    assert (refused.exit_code, "choose another --output" in refused.stderr) == (2, True)


def test_without_recordings_or_with_two_of_a_name_it_says_so(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no recordings with names such as" in run("--corpus", tmp_path / "empty", "--output", tmp_path / "a").stderr
    (corpus / "copy").mkdir()
    (corpus / "copy" / "7_bo_4.wav").write_bytes((corpus / "7_bo_4.wav").read_bytes())
    assert "is there as" in run("--corpus", corpus, "--output", tmp_path / "a").stderr


def test_it_is_downloaded_where_no_folder_is_named(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.add(corpus.parent, arcname="free-spoken-digit-dataset-master")
    monkeypatch.setattr(prepare.urllib.request, "urlopen", lambda url, timeout: io.BytesIO(buffer.getvalue()))
    assert run("--output", tmp_path / "digits").exit_code == 0
    rows = [json.loads(line) for line in (tmp_path / "digits" / "test.jsonl").read_text().splitlines()]
    assert len(rows) == 8

    def unreachable(url: str, timeout: float) -> io.BytesIO:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(prepare.urllib.request, "urlopen", unreachable)
    result = run("--output", tmp_path / "other")
    assert (result.exit_code, "no route to host" in result.stderr, "--corpus" in result.stderr) == (1, True, True)
    assert not (tmp_path / "other").exists()
