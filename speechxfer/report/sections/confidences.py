"""Whether the confidences of words can be believed."""

from __future__ import annotations

from speechxfer.report.chart import Line, chart
from speechxfer.report.markup import Html, element, section
from speechxfer.report.run import FinishedRun


def confidences(run: FinishedRun) -> Html:
    """How often words of each confidence are right, on the test split."""
    found = run.after.reliability if run.after else None
    if found is None:
        return Html()
    points = [(one.confidence, one.right) for one in found.bins]
    lines = [Line("right", points), Line("as many as the confidence", [(0.0, 0.0), (1.0, 1.0)])]
    meaning = (
        f"Expected calibration error: {found.error:.3f}, the mean distance between the confidence of words and the "
        f"fraction of them that is right, over {found.words} words in 15 bins (Guo et al., 2017); 0 is best."
    )
    drawn = chart("words that are right, by confidence", lines, "confidence")
    return section("Confidences", drawn, element("p", meaning, class_="legend"))
