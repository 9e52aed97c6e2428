"""The sections of the page, one file each: a function that takes the run and returns its markup.

A section without content returns `Html()`. Another section is a file here and an entry in `SECTIONS`.
"""

from collections.abc import Callable

from speechxfer.report.markup import Html
from speechxfer.report.run import FinishedRun
from speechxfer.report.sections.classes import classes
from speechxfer.report.sections.confidences import confidences
from speechxfer.report.sections.confusions import confusions
from speechxfer.report.sections.curves import curves
from speechxfer.report.sections.data import data
from speechxfer.report.sections.missing import missing
from speechxfer.report.sections.plan import plan
from speechxfer.report.sections.reproduce import reproduce
from speechxfer.report.sections.results import results
from speechxfer.report.sections.slices import error_slices
from speechxfer.report.sections.unlabeled import unlabeled
from speechxfer.report.sections.utterances import worst_utterances

#: In the order of the page.
SECTIONS: tuple[Callable[[FinishedRun], Html], ...] = (
    results, curves, unlabeled, error_slices, worst_utterances, classes, confusions, confidences, plan, data, reproduce,
    missing,
)  # fmt: skip

__all__ = ["SECTIONS"]
