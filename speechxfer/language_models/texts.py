"""Sentences to train a language model on, from manifests and text files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from speechxfer.data.dataset import Dataset
from speechxfer.data.rows import SUFFIXES
from speechxfer.data.textfiles import lines
from speechxfer.errors import DataError


def sentences(path: Path) -> Iterator[str]:
    """The transcripts of a manifest, or the lines of a text file.

    Raises:
        DataError: it cannot be read, or an utterance has no text.
    """
    if path.suffix.lower() not in SUFFIXES:
        yield from lines(path)
        return
    for utterance in Dataset.of(path):
        if utterance.text is None:
            raise DataError(f"{utterance.origin}: has no text, so there is no sentence to learn from")
        yield utterance.text
