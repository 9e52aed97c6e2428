"""Settings of Whisper's encoder."""

from __future__ import annotations

from dataclasses import dataclass

from speechxfer.config.values import Table


@dataclass(frozen=True)
class WhisperConfig(Table, group="whisper"):
    """The encoder of Whisper."""

    #: Pad every utterance with silence to 30 s, as in Whisper's pre-training.
    pad_to_30s: bool = False
