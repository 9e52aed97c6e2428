"""Python blocks of how-to guides that need more than a glance to be believed."""

from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.evaluation.results import compare
from tests.docs.pages import blocks


def test_the_metric_of_the_guide_counts_wrong_sentences(corpus):
    (code,) = (block.code for block in blocks("docs/how-to/add-a-metric.md") if block.language == "python")
    names = {}
    exec(code, names)
    manifest = Manifest.read(corpus("test", ["a b", "c"]))
    evaluation = compare(manifest, [Hypothesis("a b"), Hypothesis("b")], TextNormalizer("basic"))
    assert names["SENTENCE_ERROR_RATE"].compute(evaluation) == 0.5
