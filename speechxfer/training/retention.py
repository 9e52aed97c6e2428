"""What a model should not forget: the source domain learned along (replay), and what was lost of it."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

from speechxfer.config import RetentionConfig
from speechxfer.data.manifest import Manifest
from speechxfer.errors import ConfigError
from speechxfer.evaluation.comparison import compare_systems
from speechxfer.evaluation.results import Evaluation
from speechxfer.progress import Progress

_SAYS = {
    "worse": "Forgotten",
    "better": "Nothing forgotten, it even improved",
    "same": "No forgetting shown",
    "unknown": "Too little data to tell forgetting",
}


@dataclass(frozen=True)
class Retained:
    """The source domain before and after training."""

    #: None where the pre-trained model cannot be measured, because its head is new.
    before: Evaluation | None
    after: Evaluation
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        before = {"before": self.before.to_dict()} if self.before else {}
        return {**before, "after": self.after.to_dict(), "verdict": self.verdict}


def retained(manifest: Manifest, before: Evaluation | None, after: Evaluation) -> Retained:
    """What became of the source domain, in words."""
    where = manifest.path.name if manifest.path else "the source domain"
    if before is None:
        reason = "the head is new, so there is nothing to compare with"
        return Retained(None, after, f"What was forgotten of {where} is not known: {reason}. After: {after}")
    found = compare_systems(("before", "after"), before, after.spread(len(before.results)))
    return Retained(before, after, f"{_SAYS[found.second_is]} on {where}: {found.verdict()}")


def with_replay(
    train: Manifest, source: Manifest | None, config: RetentionConfig, seed: int, progress: Progress
) -> Manifest:
    """The training utterances and so many of the source domain that those are `replay_ratio` of all.

    Drawn once, without repetition, by the seed; where there are too few, all of them.

    Raises:
        ConfigError: the ratio is 0.
    """
    if source is None:
        return train
    if not config.replay_ratio:
        raise ConfigError("retention.replay names a manifest, but retention.replay_ratio is 0; wanted more, or neither")
    wanted = max(1, round(len(train) * config.replay_ratio / (1 - config.replay_ratio)))
    chosen = sorted(random.Random(seed).sample(range(len(source)), min(wanted, len(source))))
    few = f", which is all there is of the {wanted} wanted" if wanted > len(source) else ""
    progress.log(f"replay: {len(chosen)} utterances of {source.path} are learned along{few}")
    spoken = {"language": config.language} if config.language else {}
    added = [replace(source[index], extra={**source[index].extra, **spoken}) for index in chosen]
    return train.holding([*train, *added])
