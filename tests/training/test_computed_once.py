"""What a run computes of its test split, it computes once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from speechxfer.evaluation import comparison, metrics, results
from speechxfer.report import write_model_card, write_report
from speechxfer.runs import RunFolder
from tests.training.conftest import Runs

SHORT: dict[str, Any] = {"training": {"epochs": 2, "batch_seconds": 8.0}}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often what was called: alignments by the number of their references, and the paired bootstrap."""
    found: Counter[str] = Counter()
    align, bootstrap = metrics.align, comparison.paired_bootstrap

    def aligning(references: Sequence[str], *arguments: Any) -> Any:
        found[f"align {len(references)}"] += 1
        return align(references, *arguments)

    def drawing(*arguments: Any) -> Any:
        found["bootstrap"] += 1
        return bootstrap(*arguments)

    for module in (metrics, results):
        monkeypatch.setattr(module, "align", aligning)
    monkeypatch.setattr(comparison, "paired_bootstrap", drawing)
    return found


@pytest.mark.slow
def test_each_model_is_aligned_once_and_the_pair_is_drawn_once(forgetful: Runs, calls: Counter[str]) -> None:
    split = {"test": forgetful.base["retain"], "retain": None}  # dev is aligned in each epoch
    forgetful.run("counted", SHORT, split)
    folder = forgetful.folder / "counted"
    write_report(folder)
    write_model_card(folder)
    assert calls["align 24"] == 2
    assert calls["bootstrap"] == 1


@pytest.mark.slow
def test_resumed_the_pre_trained_model_is_not_measured_again(forgetful: Runs, calls: Counter[str]) -> None:
    split = {"test": forgetful.base["retain"], "retain": None}
    run = RunFolder(forgetful.folder / "resumed")
    forgetful.run("resumed", SHORT, split)
    first = run.predictions_file("test", "adapted").read_bytes()
    forgetful.run("resumed", SHORT, split, resume=True)
    assert calls["align 24"] == 3  # the adapted model once more
    assert run.predictions_file("test", "adapted").read_bytes() == first
