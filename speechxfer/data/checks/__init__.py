"""Checks of manifests, their audio and their texts before a run."""

from speechxfer.data.checks.check import Measured, Report, Split, check, log_problems, shortened
from speechxfer.data.checks.examiner import Limits
from speechxfer.data.checks.finding import KINDS, Finding

__all__ = ["KINDS", "Finding", "Limits", "Measured", "Report", "Split", "check", "log_problems", "shortened"]
