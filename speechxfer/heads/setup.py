"""What a head for a run is made from, and what keeps an utterance out of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from speechxfer.config import FinetuneConfig
from speechxfer.encoders.base import Encoder
from speechxfer.progress import Progress

if TYPE_CHECKING:
    from speechxfer.heads.base import Head


@dataclass(frozen=True)
class Setup:
    """What a head for a run is made from.

    Attributes:
        config: of the run.
        encoder: as it is trained, pooling included.
        own: the checkpoint's own head, of whatever kind; None where it has none, or none that can be opened.
        problem: why a head that is there cannot be opened.
        needs_new_head: layers that the checkpoint's own head needs are left out or begin with random weights.
        from_scratch: all weights begin random.
        progress: of the run.
    """

    config: FinetuneConfig
    encoder: Encoder
    own: Head | None
    problem: str | None
    needs_new_head: bool
    from_scratch: bool
    progress: Progress


@dataclass(frozen=True)
class Unusable:
    """Why an utterance cannot be used in training.

    Attributes:
        reason: what it has in common with others, as the end of "3 of 10 training utterances …".
        seen: what was seen of this one.
    """

    reason: str
    seen: str
