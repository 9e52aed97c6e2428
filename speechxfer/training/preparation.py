"""Computing what stands below the seam: where it is kept, what of it is already there, and what is missing."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from speechxfer.config import AugmentConfig, TrainingConfig
from speechxfer.data.batching import batches
from speechxfer.data.manifest import Manifest
from speechxfer.encoders.base import Encoder
from speechxfer.engine import Engine
from speechxfer.errors import AudioError, DataError, StorageError
from speechxfer.progress import Progress
from speechxfer.storage import cache_folder
from speechxfer.training.distributed import World
from speechxfer.training.frozen_cache import FrozenCache, Sounds, States, prefix_digest
from speechxfer.training.frozen_pass import FrozenPass
from speechxfer.training.inputs import CachedInputs, Computable, Copies, Inputs, Key, LiveInputs
from speechxfer.training.remote_pass import RemotePass
from speechxfer.training.resident import resident

#: Seconds of audio computed together where nothing is remembered for a gradient.
_BATCH_S = {"cpu": 30.0, "cuda": 600.0}
#: Bytes of hidden states in one file of the cache, which is also what waits in memory to be written.
_FILE_SIZE = 256 * 2**20
#: What any disk reads in a second; where computing is as fast as this, keeping on disk saves nothing.
_DISK_BYTES_PER_S = 100e6
#: Share of the free disk that is never exceeded.
_MOST_OF_DISK = 0.9
#: Why nothing is kept of what is used once.
_USED_ONCE = "used once each, so computed when they are needed"
#: Seconds of audio whose computation is timed before a place is chosen.
_TRIAL_S = 10.0


@dataclass
class Preparation:
    """Makes the inputs of a run, and knows how long that took."""

    encoder: Encoder
    training: TrainingConfig
    precision: torch.dtype
    world: World
    progress: Progress
    #: Whose workers compute what is frozen; None for this process.
    engine: Engine | None = None
    #: Spent on the frozen layers of each split so far.
    seconds: dict[str, float] = field(default_factory=dict)
    _sounds: Sounds = field(default_factory=Sounds)

    @property
    def _device(self) -> torch.device:
        return next(self.encoder.parameters()).device

    def inputs(
        self, manifest: Manifest, seam: int | None, name: str, *, speed_copies: int = 0,
        augment: AugmentConfig | None = None, passes: float | None = None,
    ) -> Inputs:  # fmt: skip
        """Keep what is frozen where there is something frozen and room for it, else compute it every time.

        Args:
            passes: how often each utterance is used, where a limit of time decides that; else once an epoch.

        Raises:
            DataError: unreadable audio, or longer than the encoder takes.
            StorageError: a cache on disk was asked for and cannot be written.
        """
        found = self._inputs(manifest, seam, name, speed_copies, augment, passes)
        if self.engine is not None and isinstance(found, LiveInputs):
            self.progress.log(f"frozen layers, {name}: workers compute those that are kept, and none are")
        return found

    def _inputs(
        self, manifest: Manifest, seam: int | None, name: str, speed_copies: int, augment: AugmentConfig | None,
        passes: float | None,
    ) -> Inputs:  # fmt: skip
        margin_s = augment.margin_seconds if augment else 0.0
        copies = Copies(manifest, self.encoder, speed_copies, self.training.seed, self.progress, margin_s=margin_s)
        live = LiveInputs(self.encoder, seam, copies, augment)
        if seam and live.augment is not None:
            self.progress.log(f"frozen layers, {name}: computed in every epoch, for the spectrograms change")
        if seam is None or live.augment is not None:
            return live

        if passes is not None and _is_used_once(copies, passes):
            self.progress.log(f"frozen layers, {name}: {_USED_ONCE}")
            return live
        place = self.training.cache
        if place == "auto":
            # One answer for all processes, which measure differently, and whose disks may be different ones.
            answers = self.world.gather({self.world.rank: self._best_place(copies, seam, live)})
            place, reason = min(answers.items(), key=lambda answer: (answer[1][0] != "off", answer[0]))[1]
            self.progress.log(f"frozen layers, {name}: {reason}")
        if place == "off":
            return live
        return self._cached(copies, seam, name, on_disk=place == "disk", below=live)

    def moved(self, inputs: Inputs, seam: int | None, name: str) -> Inputs:
        """The same utterances at a seam that is not lower, computed from where they stand now and kept likewise.

        No seam means that nothing is frozen any more.
        """
        if seam == inputs.seam:
            return inputs
        if seam is None or not isinstance(inputs, CachedInputs):
            return LiveInputs(self.encoder, seam, inputs.copies, inputs.augment)
        return self._cached(inputs.copies, seam, name, on_disk=inputs.on_disk, below=inputs)

    def _best_place(self, copies: Copies, seam: int, below: Computable) -> tuple[str, str]:
        """Memory, disk or neither, and why: from the room there is and what computing was measured to cost."""
        size, most_memory, most_disk = self._size(copies, copies.keys, seam), _free_memory() / 2, self._free_disk() / 2
        if _is_used_once(copies, self.training.epochs):
            return "off", _USED_ONCE
        if self.world.size == 1 and size <= most_memory:
            return "memory", f"computed once, {_amount(size)} of hidden states kept in memory"
        if size > most_disk:
            return "off", f"{_amount(size)} is more than half of the free disk; computed in every epoch"
        if self.engine is not None:
            return "disk", f"computed once by workers, {_amount(size)} of hidden states kept on disk"
        seconds = self._measured_s(copies, seam, below)
        if size / _DISK_BYTES_PER_S > seconds:
            return "off", f"computing them takes {seconds:.0f} s, reading {_amount(size)} from disk longer"
        return "disk", f"computed once in about {seconds:.0f} s, {_amount(size)} of hidden states kept on disk"

    def _measured_s(self, copies: Copies, seam: int, below: Computable) -> float:
        """Seconds that computing all copies takes, judged by some of them."""
        some: list[Key] = []
        for key in copies.keys:
            some.append(key)
            if sum(map(copies.computed_s, some)) > _TRIAL_S:
                break
        started = time.monotonic()
        with contextlib.suppress(AudioError):  # what cannot be read is reported where it is needed
            list(self._pass_here(below, seam)([some]))
        share = sum(map(copies.computed_s, some)) / sum(map(copies.computed_s, copies.keys))
        return (time.monotonic() - started) / share

    def _cached(self, copies: Copies, seam: int, name: str, *, on_disk: bool, below: Computable) -> Inputs:
        started = time.monotonic()
        keep = self._keep_on_disk if on_disk else self._keep_in_memory
        try:
            kept = keep(copies, seam, name, below)
        except StorageError as error:
            if self.training.cache == "disk":
                raise StorageError(f"{error} Or take --cache memory or --cache off.") from error
            self.progress.log(f"{error} The frozen layers are computed in every epoch.")
            return LiveInputs(self.encoder, seam, copies)
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started
        return resident(CachedInputs(copies, seam, kept, on_disk=on_disk), self._device)

    def _keep_in_memory(self, copies: Copies, seam: int, name: str, below: Computable) -> dict[Key, States]:
        frozen = self._pass(below, seam)
        kept = dict(self._computed(copies, set(copies.keys), name, frozen, [self.world.rank]))
        copies.report_unreadable(self.world, self.progress)
        return _some(copies, kept)

    def _keep_on_disk(self, copies: Copies, seam: int, name: str, below: Computable) -> dict[Key, States]:
        """Find what is there, compute and write what is missing (each process on a disk its share), map it all."""
        settings = {"dtype": self.training.cache_dtype, "precision": str(self.precision)}
        cache = FrozenCache(self._folder, prefix_digest(self.encoder, seam, **settings))
        names = {key: self._sounds.digest(copies.manifest[key[0]], key[1], copies.margins(key)) for key in copies.keys}
        cache.tidy()
        found, spoilt = cache.read(names.values())
        for path in spoilt:
            self.progress.log(f"{path}: damaged or written by another version; computed again")
            path.unlink(missing_ok=True)
        lacking = {key for key, entry in names.items() if entry not in found}
        all_lacking = self.world.gather({self.world.rank: lacking})
        if any(all_lacking.values()):
            failure = ""
            among = self.world.sharing(cache.folder)
            # One answer for all on a disk: one that looks later may find what another run has just written.
            missing = all_lacking[among[0]]
            try:
                self._announce(self._size(copies, missing, seam), name, cache)
                frozen = self._pass(below, seam)
                self._write(cache, set(found), names, self._computed(copies, missing, name, frozen, among))
            except StorageError as error:
                failure = str(error)
            # Where one process cannot write, none waits for it.
            if failures := [text for text in self.world.gather({self.world.rank: failure}).values() if text]:
                raise StorageError(failures[0])
            copies.report_unreadable(self.world, self.progress)
            found, _ = cache.read(names.values())
        else:
            self.progress.log(f"frozen layers, {name}: all {len(names):,} found in {cache.folder}")
        return _some(copies, {key: found[names[key]] for key in copies.keys})

    def _announce(self, size: float, name: str, cache: FrozenCache) -> None:
        """Say how much will be written, or that there is no room for it."""
        free = self._free_disk()
        if size > _MOST_OF_DISK * free:
            raise StorageError(f"{cache.folder}: needs {_amount(size)}, but only {_amount(free)} are free.")
        self.progress.log(f"frozen layers, {name}: writing {_amount(size)} to {cache.folder}")

    def _write(
        self, cache: FrozenCache, known: set[str], names: dict[Key, str], computed: Iterable[tuple[Key, States]]
    ) -> None:
        waiting: dict[str, States] = {}
        size = 0
        for key, states in computed:
            if names[key] in known:  # the same sound again, or computed only for the company of what is missing
                continue
            known.add(names[key])
            waiting[names[key]] = states
            size += states.hidden_states.nbytes
            if size >= _FILE_SIZE:
                cache.write(waiting)
                waiting, size = {}, 0
        if waiting:
            cache.write(waiting)

    def _computed(
        self, copies: Copies, missing: set[Key], name: str, frozen: FrozenPass | RemotePass, among: list[int]
    ) -> Iterator[tuple[Key, States]]:
        """This process's share of the missing states, which these ranks compute.

        The batches are those of the whole manifest whatever is missing: rounding depends on what is computed together,
        and a run that was killed over this has to find the same states again.
        """
        keys = copies.keys
        lengths = list(map(copies.computed_s, keys))
        wanted = batches(
            range(len(keys)), lengths, self.training.device_batch_seconds or _BATCH_S.get(self._device.type, 30.0)
        )
        wanted = [batch for batch in wanted if any(keys[number] in missing for number in batch)]
        wanted = wanted[among.index(self.world.rank) :: len(among)]
        seconds = sum(lengths[number] for batch in wanted for number in batch)

        with self.progress.task(f"frozen layers, {name}", seconds) as advance:
            # What is measured has to be whole, what is learned from need not.
            found = frozen([[keys[number] for number in batch] for batch in wanted], leave_out=name == "train")
            for chosen, states in found:
                yield from states
                advance(sum(map(copies.computed_s, chosen)))

    def _pass(self, below: Computable, seam: int) -> FrozenPass | RemotePass:
        """What has been computed to a lower seam goes on from there in this process."""
        if self.engine is None or not isinstance(below, LiveInputs):
            return self._pass_here(below, seam)
        return RemotePass(
            self.engine, below, self.encoder, seam, precision=self.precision, cache_dtype=self.training.cache_dtype,
            progress=self.progress,
        )  # fmt: skip

    def _pass_here(self, below: Computable, seam: int) -> FrozenPass:
        dtype = self.training.cache_dtype
        return FrozenPass(below, self.encoder, seam, precision=self.precision, cache_dtype=dtype)

    def _size(self, copies: Copies, keys: Iterable[Key], seam: int) -> float:
        """Bytes that these copies take."""
        frames = sum(map(copies.computed_s, keys)) * self.encoder.frame_rate
        return frames * self.encoder.width_at(seam) * (4 if self.training.cache_dtype == "float32" else 2)

    @property
    def _folder(self) -> Path:
        return Path(self.training.cache_dir) if self.training.cache_dir else cache_folder()

    def _free_disk(self) -> float:
        folder = self._folder.absolute()
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free


def _some(copies: Copies, kept: dict[Key, States]) -> dict[Key, States]:
    """The same states, if there are any."""
    if not kept:
        number = len(copies.unreadable)
        raise DataError(f"{copies.manifest.path}: none of its {number} utterances can be used, so nothing would be learned: {copies.first_unreadable}")  # fmt: skip  # noqa: E501
    return kept


def _is_used_once(copies: Copies, passes: float) -> bool:
    """Whether no more utterances are used than there are copies, so that keeping them saves nothing."""
    return passes * len(copies.manifest) <= len(copies.keys)


def _free_memory() -> float:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _amount(size: float) -> str:
    """Bytes for reading: "110 MB"."""
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.0f} MB"
