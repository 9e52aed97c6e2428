"""All targets."""

from __future__ import annotations

from scripts.fuzz.contract import Target
from scripts.fuzz.data_files import DATA_FILES
from scripts.fuzz.model_files import MODEL_FILES

TARGETS: tuple[Target, ...] = (*DATA_FILES, *MODEL_FILES)
