"""Metrics by name: those of this package, and those that others add by an entry point."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from speechxfer.cli import main
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.errors import ConfigError
from speechxfer.evaluation.register import METRICS
from speechxfer.evaluation.results import compare
from speechxfer.registry import PluginWarning
from speechxfer.report import write_model_card, write_report
from tests.report.conftest import AFTER, Folder, empty, finished

__all__ = ["empty", "finished"]

SENTENCES = """
from speechxfer.evaluation.register import Metric

def wrong_sentences(evaluation):
    return sum(result.errors > 0 for result in evaluation.results) / len(evaluation.results)

ENTRY = Metric("transcription", wrong_sentences, "SER", "the fraction of sentences with an error")
FAILS = Metric("transcription", lambda evaluation: 1 / 0, "broken")
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Installs a package with metrics, from the lines of its entry points."""
    site = tmp_path / "site"

    def installed(points: str) -> None:
        info = site / "sentences-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "sentences.py").write_text(SENTENCES)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sentences\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[speechxfer.metrics]\n{points}\n")
        monkeypatch.syspath_prepend(site)
        METRICS.refresh()

    yield installed
    monkeypatch.undo()
    sys.modules.pop("sentences", None)
    METRICS.refresh()


def manifest(corpus: Callable[..., Path], texts: Sequence[str]) -> Manifest:
    return Manifest.read(corpus("test", list(texts)))


def test_a_metric_of_another_package_is_computed_and_shown(
    install: Callable[[str], None], finished: Folder, corpus: Callable[..., Path]
) -> None:
    install("ser = sentences:ENTRY")
    evaluation = compare(manifest(corpus, ["a b", "c"]), [Hypothesis("a b"), Hypothesis("x")], TextNormalizer())
    assert evaluation.metrics["ser"] == 0.5
    assert evaluation.to_dict()["ser"] == 0.5
    finished.predicted("after", Manifest.read(finished.corpus / "test.jsonl"), AFTER)
    assert finished.read("metrics.json")["after"]["ser"] == 0.375
    write_report(finished.path)
    page = (finished.path / "report.html").read_text()
    assert "SER" in page
    assert "0.375" in page
    assert "SER: the fraction of sentences with an error; lower is better." in page
    card = write_model_card(finished.path).read_text()
    assert "| SER | - | 0.375 |" in card
    assert "type: ser" in card


def test_evaluate_prints_and_writes_it(
    install: Callable[[str], None], corpus: Callable[..., Path], spelling_whisper: Path
) -> None:
    install("ser = sentences:ENTRY")
    path = corpus("test", ["ab c", "ca b"])
    done = CliRunner().invoke(main, ["evaluate", str(spelling_whisper), str(path), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert 0 <= json.loads(done.stdout)["ser"] <= 1
    assert "the fraction of sentences with an error" in done.stderr
    assert "word errors per word of the reference" in done.stderr
    done = CliRunner().invoke(
        main, ["evaluate", str(spelling_whisper), str(path), "--device", "cpu", "--metric", "mer"]
    )
    assert "word errors per place of the alignment" in done.stderr
    assert "the fraction of sentences with an error" not in done.stderr


def test_one_that_fails_is_named_and_the_others_are_computed(
    install: Callable[[str], None], corpus: Callable[..., Path]
) -> None:
    install("ser = sentences:ENTRY\nbroken = sentences:FAILS")
    evaluation = compare(manifest(corpus, ["a"]), [Hypothesis("a")], TextNormalizer())
    with pytest.warns(PluginWarning, match=r"the metric 'broken' is left out, it fails \(ZeroDivisionError"):
        assert {"wer", "cer", "ser"} <= evaluation.metrics.keys()
    assert "broken" not in evaluation.metrics


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ("lost = no_such_module:X", "the metric 'lost' of sentences cannot be used"),
        ("wer = sentences:ENTRY", "the metric 'wer' of sentences is left out: speechxfer has one of this name"),
    ],
)
def test_one_that_cannot_be_used_is_named_and_the_rest_works(
    install: Callable[[str], None], corpus: Callable[..., Path], points: str, message: str
) -> None:
    install(points)
    evaluation = compare(manifest(corpus, ["a"]), [Hypothesis("a")], TextNormalizer())
    with pytest.warns(PluginWarning, match=message):
        assert evaluation.metrics["wer"] == 0.0


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match="--metric is 'ser'; wanted one of wer, cer, mer, wil, "):
        METRICS.find("ser", setting="--metric")
    done = CliRunner().invoke(main, ["evaluate", "model", "test.jsonl", "--metric", "wre"])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "did you mean wer?" in done.stderr
