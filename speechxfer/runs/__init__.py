"""The folder of a run: every file in it, its name and its schema."""

from speechxfer.runs.folder import RunFolder
from speechxfer.runs.schema import (
    Allotment,
    Environment,
    Epoch,
    InterpolationCurve,
    InterpolationPoint,
    Metrics,
    PlanTable,
    SelfTraining,
    Sources,
    Split,
)

__all__ = [
    "Allotment",
    "Environment",
    "Epoch",
    "InterpolationCurve",
    "InterpolationPoint",
    "Metrics",
    "PlanTable",
    "RunFolder",
    "SelfTraining",
    "Sources",
    "Split",
]
