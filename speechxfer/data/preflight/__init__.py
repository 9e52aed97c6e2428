"""A doctor for data: what is wrong with manifests, their audio and their texts, found before a run wastes an hour."""

from speechxfer.data.preflight.check import Report, Split, check, say_errors, shortened
from speechxfer.data.preflight.examiner import Limits
from speechxfer.data.preflight.finding import KINDS, Finding

__all__ = ["KINDS", "Finding", "Limits", "Report", "Split", "check", "say_errors", "shortened"]
