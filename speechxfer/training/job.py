"""What every part of a run needs: its settings and what follows from them, the processes, and who listens."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import torch

from speechxfer.config import FinetuneConfig, exists, flat, hint, to_dict
from speechxfer.data.dataset import Data, Dataset
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.options import DecodingOptions
from speechxfer.device import choose_device, choose_precision
from speechxfer.engine import Engine
from speechxfer.errors import ConfigError
from speechxfer.heads.base import Head
from speechxfer.progress import Progress
from speechxfer.runs import RunFolder
from speechxfer.runs.ownership import PLACES
from speechxfer.training.distributed import World
from speechxfer.training.epochs import settled
from speechxfer.training.retention import with_replay


@dataclass(frozen=True)
class Job:
    """A run as it was asked for."""

    config: FinetuneConfig
    world: World
    progress: Progress
    #: Data in memory, by setting; the others are read from the paths among the settings.
    given: Mapping[str, Data] = field(default_factory=dict)
    #: When it began, by `time.monotonic`.
    started: float = field(default_factory=time.monotonic)
    #: Recordings without labels, with the predictions that are used as such.
    pseudo_labels: Manifest | None = None
    #: Whose workers compute what is frozen; None for this process.
    engine: Engine | None = None

    @property
    def folder(self) -> RunFolder:
        """Where the run is written."""
        return RunFolder(self.config.output)

    @property
    def normalizer(self) -> TextNormalizer:
        """What both sides are written as before errors are counted."""
        return TextNormalizer(self.config.text.resolved_scoring_normalizer)

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

    def settled(self) -> Self:
        """The job with the number of epochs that it has.

        Raises:
            ConfigError: a second training is asked for within a limit of time.
            DataError: the number depends on the training set, which cannot be read.
        """
        config = settled(self.config, lambda: len(self.datasets["train"]))
        if "datasets" not in vars(self):
            return replace(self, config=config)
        amount = f"{config.training.epochs} epochs of {len(self.datasets['train']):,} utterances"
        self.progress.log(f"{amount}; --epochs takes another number")
        return replace(self, config=config, given=self.datasets)  # what was read stays read

    def check(self) -> None:
        """Look whether there are such a device and such normalizers, which are needed late.

        Raises:
            ConfigError: one is not known, or the device cannot be used here.
        """
        for name in (self.config.text.new_head_normalizer, self.config.text.resolved_scoring_normalizer):
            TextNormalizer(name)
        choose_precision(self.config.training.precision, self.device)

    @functools.cached_property
    def datasets(self) -> dict[str, Dataset]:
        """All data that the settings name, read once: train, dev, test, retain, unlabeled and retention.replay.

        Raises:
            DataError: a manifest cannot be read, or names files that are not there.
        """
        config = self.config
        splits = {"train": config.train, "dev": config.dev, "test": config.test, "retain": config.retain}
        splits |= {"unlabeled": config.unlabeled, "retention.replay": config.retention.replay}
        read = {name: Dataset.of(self.given.get(name, path), name) for name, path in splits.items() if path is not None}
        for dataset in read.values():
            dataset.check_files()
        return {name: dataset.strictly() for name, dataset in read.items()} if config.strict else read

    def chosen(self) -> dict[str, Manifest]:
        """The splits of the run: train with pseudo-labels and replay, dev as much as is asked for, test and retain.

        Raises:
            ConfigError: something should be replayed, but nothing of it.
        """
        splits: dict[str, Manifest] = dict(self.datasets)
        replay = splits.pop("retention.replay", None)
        splits.pop("unlabeled", None)
        splits["dev"] = self._some(splits["dev"])
        if self.pseudo_labels is not None:
            splits["train"] = splits["train"].holding([*splits["train"], *self.pseudo_labels])
        seed = self.config.training.seed
        splits["train"] = with_replay(splits["train"], replay, self.config.retention, seed, self.progress)
        return splits

    def write_data(self) -> None:
        """Write down data that was given in memory, without its sound, where the settings say that it is.

        Raises:
            StorageError: the disk is full or read-only.
        """
        for name, dataset in self.datasets.items():
            path = self.folder.data / f"{name}.jsonl"
            if flat(to_dict(self.config)).get(name) == str(path):
                dataset.write(path)

    def _some(self, dev: Manifest) -> Manifest:
        """As many utterances of dev as are asked for, at even distances."""
        wanted = self.config.training.dev_utterances
        if wanted > len(dev):
            self.progress.log(f"training.dev_utterances is {wanted}, but {dev.path} holds {len(dev)}: all are measured")
        if not 0 < wanted < len(dev):
            return dev
        return dev.spread(wanted)


def check_places(config: FinetuneConfig, *, again: bool) -> None:
    """Refuse paths that lead nowhere: because of something in them that means nothing here, such as `$HOME`.

    Args:
        again: the run was begun before, so all were there then.

    Raises:
        ConfigError: the first of them, with its setting.
    """
    for name in (*PLACES, "output", "training.cache_dir"):
        path = flat(to_dict(config)).get(name)
        if not path or exists(path):
            continue
        if reason := hint(path):
            raise ConfigError(f"{name}: {path}: there is no such file or folder{reason}")
        if again and name in PLACES and Path(path).is_absolute():
            option = name.rpartition(".")[2]
            raise ConfigError(f"{name}: {path}: is not there any more; where it was moved to can be said by --{option}")


def retain_options(config: FinetuneConfig, head: Head) -> DecodingOptions:
    """How the split that is to be retained is decoded: in its own language, where the head takes one."""
    return DecodingOptions(language=config.retention.language or None).only(head.decoding_options)
