"""Runs on data that is in no file, and how often the data of a run is opened."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from speechxfer.audio import reading
from speechxfer.config import build, merge
from speechxfer.data.manifest import Manifest
from speechxfer.errors import CheckpointError, DataError
from speechxfer.training.finetune import FinetuneConfig, finetune
from tests.conftest import tone
from tests.training.conftest import Runs, texts


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    return [{"audio": tone(text), "sample_rate": 16_000, "text": text} for text in texts(count, seed)]


def in_memory(runs: Runs, name: str, **layer: Any) -> FinetuneConfig:
    folder = runs.folder / name
    places = {split: str(folder / "data" / f"{split}.jsonl") for split in ("train", "dev", "test")}
    return build(FinetuneConfig, merge([runs.base, places, layer, {"output": str(folder)}]))


@pytest.fixture
def headers(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the header of each file is looked at."""
    counts: Counter[str] = Counter()
    original = reading._header

    def counted(source: Any, choice: Any) -> Any:
        counts[source.name] += 1
        return original(source, choice)

    monkeypatch.setattr(reading, "_header", counted)
    return counts


def test_in_one_run_each_header_is_opened_once(runs: Runs, corpus: Any, headers: Counter[str]) -> None:
    test = {"test": str(corpus("test", texts(4, 5))), "retain": str(corpus("retain", texts(3, 6)))}
    replay = {"retention": {"replay": str(corpus("replay", texts(8, 7)))}}
    runs.run("one", test, replay, {"training": {"epochs": 2, "speed_copies": 2}, "compare_scratch": True})
    assert len(headers) == 24 + 4 + 4 + 3 + 8
    assert set(headers.values()) == {1}


def test_data_in_memory_gives_the_losses_that_files_give(runs: Runs) -> None:
    data = {"train": rows(24, 1), "dev": rows(4, 2), "test": rows(4, 3)}
    finetune(in_memory(runs, "memory"), data=data)
    runs.run("files")
    # Files hold 16 bits.
    assert runs.losses("memory") == pytest.approx(runs.losses("files"), abs=1e-3)
    noted = Manifest.read(runs.folder / "memory" / "data" / "train.jsonl")
    assert noted.texts == texts(24, 1)
    page = (runs.folder / "memory" / "report.html").read_text()
    assert "has changed since" not in page
    assert "worst" in page.lower()


def test_a_run_in_memory_is_resumed_with_the_same_data_and_no_other(runs: Runs) -> None:
    data = {"train": rows(24, 1), "dev": rows(4, 2), "test": rows(2, 3)}
    longer = {"training": {"epochs": 3}}
    config = in_memory(runs, "memory", **longer)
    finetune(config, data=data)
    finetune(config, data={**data, "train": rows(24, 1)}, resume=True)
    with pytest.raises(CheckpointError, match="the train manifest has changed since the run began"):
        finetune(config, data={**data, "train": rows(24, 9)}, resume=True)
    with pytest.raises(DataError, match=r"train\.jsonl:1: the sound was in memory .* pass the same data again"):
        finetune(config, resume=True)


def test_excerpts_of_one_file_open_its_header_once(runs: Runs, headers: Counter[str], tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "long.wav", tone("abc" * 8), 16_000)
    lines = [{"audio": tmp_path / "long.wav", "text": "abc", "start": 0.45 * n, "duration": 0.45} for n in range(8)]
    finetune(in_memory(runs, "excerpts"), data={"train": lines, "dev": lines[:2], "test": lines[2:4]})
    assert headers == {str(tmp_path / "long.wav"): 1}
