"""All targets."""

from __future__ import annotations

from scripts.fuzz.contract import Target
from scripts.fuzz.data_files import DATA_FILES
from scripts.fuzz.model_files import MODEL_FILES
from scripts.fuzz.shard_files import SHARD_FILES

TARGETS: tuple[Target, ...] = (*DATA_FILES, *SHARD_FILES, *MODEL_FILES)
