"""A run in words and pictures: one page to look at, and the card that goes with the model."""

from speechxfer.report.environment import environment
from speechxfer.report.model_card import write_model_card
from speechxfer.report.page import write_report

__all__ = ["environment", "write_model_card", "write_report"]
