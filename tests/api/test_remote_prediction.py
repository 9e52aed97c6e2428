"""What workers predict is what this process predicts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import speechxfer as sx
from speechxfer.api.remote_prediction import PredictionTask
from speechxfer.evaluation.remote_batches import Batch
from tests.pickling import Pickling
from tests.training.conftest import Log, texts


@pytest.fixture
def manifest(corpus: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    path = corpus("test", texts(8, 7))
    monkeypatch.setattr("speechxfer.evaluation.evaluate._BATCH_S", 1.5)
    monkeypatch.chdir(path.parent)
    return Path("test.jsonl")


@pytest.mark.slow
def test_workers_predict_what_this_process_predicts(spelling_whisper: Path, manifest: Path) -> None:
    """Each batch as it is here, from whatever working folder, with options of decoding."""
    model, options, engine = spelling_whisper, sx.DecodingOptions(beams=2), Pickling()
    here = sx.evaluate(model, manifest, options=options, device="cpu")
    found = sx.evaluate(model, manifest, options=options, device="cpu", engine=engine)
    assert found.results == here.results
    assert sorted(number for batch in engine.sent for number in batch.numbers) == list(range(8))
    assert len(engine.sent) > 1
    assert all(Path(one.source.name).is_absolute() for batch in engine.sent for one in batch.utterances)


@pytest.mark.slow
def test_what_is_wrong_with_recordings_is_reported(spelling_whisper: Path, manifest: Path) -> None:
    log, short, torn = Log(), Path("test3.wav"), Path("test5.wav")
    whole = short.read_bytes()
    short.write_bytes(whole[:-4000])
    sx.evaluate(spelling_whisper, manifest, device="cpu", engine=Pickling(), progress=log)
    assert "test.jsonl:4: " in log
    torn.write_bytes(b"torn" * 1000)
    with pytest.raises(sx.AudioError, match=r"test\.jsonl:6: "):
        sx.evaluate(spelling_whisper, manifest, device="cpu", engine=Pickling())


def test_workers_need_a_name_to_open_a_model_by(spelling_whisper: Path, manifest: Path) -> None:
    model = sx.load(spelling_whisper, device="cpu")
    with pytest.raises(sx.ConfigError, match="wanted the name of a model in place of one that is open"):
        sx.evaluate(model, manifest, engine=Pickling())


def test_a_batch_over_which_workers_are_lost_ends_the_evaluation(manifest: Path) -> None:
    task = PredictionTask("model", "cpu", sx.DecodingOptions())
    batch = Batch([0, 1], sx.Manifest.read(manifest)[:2])
    with pytest.raises(
        sx.SpeechxferError, match=r"test\.jsonl:1: 3 workers were lost \(it is computed with 1 others\)"
    ):
        task.lost(batch, "3 workers were lost")


def test_workers_that_are_not_there_are_noticed_before_the_work(manifest: Path) -> None:
    with pytest.raises(sx.ConfigError, match="nobody answers"):
        sx.evaluate("./no-model", manifest, engine=Pickling(is_there=False))
