"""Python blocks of how-to guides that need more than a glance to be believed."""

import pytest

from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.evaluation.results import compare
from tests.docs.pages import ROOT, blocks


def test_the_metric_of_the_guide_counts_wrong_sentences(corpus):
    (code,) = (block.code for block in blocks("docs/how-to/add-a-metric.md") if block.language == "python")
    names = {}
    exec(code, names)
    manifest = Manifest.read(corpus("test", ["a b", "c"]))
    evaluation = compare(manifest, [Hypothesis("a b"), Hypothesis("b")], TextNormalizer("basic"))
    assert names["SENTENCE_ERROR_RATE"].compute(evaluation) == 0.5


@pytest.mark.parametrize("page", ["extend", "add-an-encoder", "add-a-head"])
def test_files_that_a_guide_shows_exist(page):
    text = (ROOT / f"docs/how-to/{page}.md").read_text(encoding="utf-8")
    shown = [line.split('"')[1] for line in text.splitlines() if line.startswith("--8<--")]
    assert shown
    for path in shown:
        assert (ROOT / path).is_file(), path
