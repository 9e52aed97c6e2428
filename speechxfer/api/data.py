"""Looking at data before a run, and dividing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speechxfer.data.dataset import Data, Dataset
from speechxfer.data.manifest import Manifest
from speechxfer.extras import explained
from speechxfer.progress import Progress

if TYPE_CHECKING:
    from speechxfer.data.checks import Measured, Report


@explained()
def check(
    train: Data,
    *others: Data,
    quick: bool = False,
    strict: bool = False,
    shortest_s: float = 0.1,
    longest_s: float = 30.0,
    normalizer: str = "basic",
    workers: int | None = None,
    measured: Measured | None = None,
    progress: Progress | None = None,
) -> Report:
    """Find what is wrong with data, its audio and texts.

    Args:
        train: as for `finetune`; characters, labels and speech rates of the others are compared with it.
        others: dev and test, for instance.
        quick: read headers and texts only; no sound is decoded.
        strict: files a little shorter than they should be are errors, not warnings.
        shortest_s: seconds of the shortest ordinary utterance.
        longest_s: seconds of the longest ordinary utterance.
        normalizer: how texts are written before they are compared.
        workers: processes that decode; one a core if it is not given.
        measured: measures sound in their place, such as `speechxfer.jobs.sounds.measured` on a cluster.
        progress: receives what goes on.

    Returns:
        All findings; `errors` are those that stop training or spoil its figures.

    Raises:
        ConfigError: there is no such normalizer, or data is of a wrong type.
        DataError: a manifest cannot be read.
    """
    from speechxfer.data.checks import Limits, Split
    from speechxfer.data.checks import check as look

    names = ["train", *(f"others[{number}]" for number in range(len(others)))]
    splits = [Split.of(data, name) for data, name in zip((train, *others), names, strict=True)]
    limits = Limits(shortest_s=shortest_s, longest_s=longest_s, normalizer=normalizer)
    return look(splits, limits, quick=quick, strict=strict, workers=workers, measured=measured, progress=progress)


@explained()
def split(
    data: Data,
    *,
    dev: float = 0.1,
    test: float = 0.1,
    by: str = "speaker",
    allow_shared_text: bool = False,
    normalizer: str = "basic",
    seed: int = 0,
) -> dict[str, Manifest]:
    """Divide data by speaker, with no sentence in two splits and labels in equal shares.

    Args:
        data: as for `finetune`.
        dev: fraction of the audio for dev; 0 makes no such split.
        test: fraction of the audio for test.
        by: column whose values stay in one split.
        allow_shared_text: let a sentence stand in several splits.
        normalizer: how texts are written before they are compared.
        seed: another one gives another split.

    Returns:
        Manifests by "train", "dev" and "test", each in the order of the original.

    Raises:
        ConfigError: fractions that leave nothing to train on, or a column that no utterance has.
        DataError: data that cannot be read, or too little to divide.
    """
    from speechxfer.data.splitting import split as divide

    return divide(
        Dataset.of(data), dev=dev, test=test, by=by, allow_shared_text=allow_shared_text, normalizer=normalizer,
        seed=seed,
    )  # fmt: skip
