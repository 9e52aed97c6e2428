"""Finds speech in a stream of samples, so that music, noise and silence reach no model.

A detector reads a stream once, in order and in flat memory: `detector.py` is the interface, `silero.py` a network, and
`levels.py` does with levels alone.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from speechxfer.config.values import shown
from speechxfer.errors import ConfigError
from speechxfer.inference.voice_activity import silero
from speechxfer.inference.voice_activity.detector import Detector
from speechxfer.inference.voice_activity.levels import ENERGY, SOUND
from speechxfer.registry import MissingPackageWarning

CHOICES = ("auto", "silero", "energy", "none")
"""The names of detectors; "auto" is Silero's where it is installed, and levels elsewhere."""

__all__ = ["CHOICES", "SOUND", "Detector", "detector"]


def detector(name: str, network: Path | None = None) -> Detector:
    """The detector of a name; "none" takes all sound for speech, and leaves out only silence.

    Args:
        name: one of `CHOICES`.
        network: the file of Silero's network, where it is not that of the package.

    Raises:
        ConfigError: another name, or a detector whose package is not installed.
    """
    match name:
        case "none":
            return SOUND
        case "energy":
            return ENERGY
        case "auto" if network is None and silero.is_missing():
            warnings.warn(
                "silero-vad is not installed, so speech is found by its level, and music may give text; "
                f"{silero.INSTALL}, or pass vad 'energy'",
                MissingPackageWarning,
                stacklevel=2,
            )
            return ENERGY
        case "auto" | "silero":
            return silero.load(network)
    raise ConfigError(f"vad is {shown(name)}; wanted one of {', '.join(CHOICES)}")
