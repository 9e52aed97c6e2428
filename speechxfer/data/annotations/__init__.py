"""Texts with times that people write beside recordings: subtitles, tiers of linguists."""

from speechxfer.data.annotations.reading import SUFFIXES, read
from speechxfer.data.annotations.tiers import Annotations, Interval, Media, Tier

__all__ = ["SUFFIXES", "Annotations", "Interval", "Media", "Tier", "read"]
