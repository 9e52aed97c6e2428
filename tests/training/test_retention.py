"""What is forgotten is measured, and what is replayed is learned along."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import speechxfer as sx
from speechxfer.config import RetentionConfig, build
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.errors import ConfigError, DataError
from speechxfer.evaluation.results import compare
from speechxfer.runs import RunFolder
from speechxfer.training.retention import retained, with_replay
from tests.training.conftest import Log, Runs


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_what_is_forgotten_is_reported(forgetful: Runs) -> None:
    folder = forgetful.folder / "second"
    figures, lines = read(folder / "metrics.json"), forgetful.metrics("second")
    before, after = (figures["retained"][name]["wer"] for name in ("before", "after"))
    assert before < 0.2 < after
    verdict = figures["retained"]["verdict"]
    assert verdict.startswith("Forgotten on kept.jsonl: after is worse than before: WER 0.")
    assert verdict in figures["notes"]
    assert after in [line["retain_wer"] for line in lines]
    said = (forgetful.folder / "second.txt").read_text().splitlines()
    assert all("retained WER" in line for line in said if line.startswith("epoch "))
    for model in ("pre-trained", "adapted"):
        results = RunFolder(folder).predictions("retain", model)
        assert results is not None
        assert len(results.results) == 24


@pytest.mark.slow
def test_what_is_replayed_is_kept(learned: Runs, forgetful: Runs) -> None:
    replay = {"retention": {"replay": learned.base["train"], "replay_ratio": 0.5}}
    assert "replay: 40 utterances of" in forgetful.run("replayed", replay)
    without, replayed = (read(forgetful.folder / name / "metrics.json")["retained"] for name in ("second", "replayed"))
    assert replayed["after"]["wer"] < without["after"]["wer"] / 2
    assert replayed["before"] == without["before"]


def test_replayed_utterances_are_a_share_of_all_and_drawn_once(corpus: Callable[..., Path]) -> None:
    train, source = (Manifest.read(corpus(*one)) for one in (("train", ["a"] * 8), ("old", ["b"] * 20)))
    wanted = RetentionConfig(replay=str(source.path), replay_ratio=0.2, language="en")
    mixed = with_replay(train, source, wanted, 1, sx.Progress())
    assert mixed.texts == ["a"] * 8 + ["b"] * 2
    assert [utterance.extra.get("language") for utterance in mixed][-3:] == [None, "en", "en"]
    assert list(with_replay(train, source, wanted, 1, sx.Progress())) == list(mixed)
    assert list(with_replay(train, source, wanted, 2, sx.Progress())) != list(mixed)
    log = Log()
    few = with_replay(train, source, RetentionConfig(replay=str(source.path), replay_ratio=0.9), 1, log)
    assert len(few) == 28
    assert "which is all there is of the 72 wanted" in log
    assert with_replay(train, None, RetentionConfig(), 1, sx.Progress()) is train


def test_replay_of_nothing_is_refused(corpus: Callable[..., Path]) -> None:
    wanted = RetentionConfig(replay=str(corpus("old", ["b"])), replay_ratio=0.0)
    with pytest.raises(ConfigError, match=r"replay_ratio is 0; wanted more, or neither"):
        with_replay(Manifest([]), Manifest([]), wanted, 1, sx.Progress())
    with pytest.raises(ConfigError, match=r"retention\.replay_ratio is 1; wanted at least 0 and less than 1"):
        build(
            sx.FinetuneConfig, {"model": "m", "train": "t", "dev": "d", "output": "o", "retention": {"replay_ratio": 1}}
        )


def test_with_a_new_head_there_is_nothing_to_compare_with(corpus: Callable[..., Path]) -> None:
    manifest = Manifest.read(corpus("old", ["a b"] * 6))
    normalizer = TextNormalizer()
    after = compare(manifest, [Hypothesis("a")] * 6, normalizer)
    found = retained(manifest, None, after)
    assert found.verdict.startswith("What was forgotten of old.jsonl is not known: the head is new")
    assert "before" not in found.to_dict()
    worse = retained(manifest, compare(manifest, [Hypothesis("a b")] * 6, normalizer), after)
    assert worse.verdict.startswith("Forgotten on old.jsonl: after is worse than before: WER 0.000 -> 0.500")


def test_what_has_no_text_cannot_be_retained(runs: Runs, corpus: Callable[..., Path]) -> None:
    path = corpus("bare", ["a", "b"])
    path.write_text(path.read_text().replace('"text": "b"', '"other": "b"'))
    with pytest.raises(DataError, match=r"bare\.jsonl:2"):
        runs.run("run", {"retain": str(path)})
