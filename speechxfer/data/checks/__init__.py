"""A doctor for data: what is wrong with manifests, their audio and their texts, found before a run wastes an hour."""

from speechxfer.data.checks.check import Report, Split, check, log_problems, shortened
from speechxfer.data.checks.examiner import Limits
from speechxfer.data.checks.finding import KINDS, Finding

__all__ = ["KINDS", "Finding", "Limits", "Report", "Split", "check", "log_problems", "shortened"]
