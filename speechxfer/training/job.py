"""What every part of a run needs: its settings and what follows from them, the processes, and who listens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from speechxfer.config import FinetuneConfig
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.heads.base import Head
from speechxfer.model import choose_device, choose_precision
from speechxfer.progress import Progress
from speechxfer.training.distributed import World
from speechxfer.training.retention import with_replay


@dataclass(frozen=True)
class Job:
    """A run as it was asked for."""

    config: FinetuneConfig
    world: World
    progress: Progress

    @property
    def folder(self) -> Path:
        """Where the run is written."""
        return Path(self.config.output)

    @property
    def normalizer(self) -> TextNormalizer:
        """What both sides are written as before errors are counted."""
        return TextNormalizer(self.config.text.scoring_normalizer)

    @property
    def device(self) -> torch.device:
        """Where it is computed.

        Raises:
            ConfigError: there is no such device.
        """
        return choose_device(self.config.device)

    @property
    def precision(self) -> torch.dtype:
        """Of the computation under autocast; float32 stands for none."""
        return choose_precision(self.config.training.precision, self.device)

    def manifests(self) -> dict[str, Manifest]:
        """All splits; train with what is replayed, dev as much of it as is asked for, retain where there is one.

        Raises:
            DataError: one cannot be read, or names files that are not there.
        """
        config = self.config
        splits = {"train": config.train, "dev": config.dev, "test": config.test, "retain": config.retain}
        manifests = {name: Manifest.read(path) for name, path in splits.items() if path is not None}
        for manifest in manifests.values():
            manifest.check_files()
        dev, most = manifests["dev"], config.training.dev_utterances
        if 0 < most < len(dev):
            manifests["dev"] = dev[:: len(dev) // most]
        manifests["train"] = with_replay(manifests["train"], config.retention, config.training.seed, self.progress)
        return {name: manifest.strictly() for name, manifest in manifests.items()} if config.strict else manifests


def spoken(config: FinetuneConfig, head: Head) -> str | None:
    """The language of what is to be retained, for a head that can be told; None lets it find out."""
    return config.retention.language or None if head.kind == "seq2seq" else None
