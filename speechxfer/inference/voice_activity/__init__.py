"""Finds speech in a stream of samples, so that music, noise and silence reach no model.

A detector reads a stream once, in order and in flat memory: `detector.py` is the interface, `silero.py` a network, and
`levels.py` does with levels alone.
"""

from __future__ import annotations

import warnings

from speechxfer.config.values import shown
from speechxfer.errors import ConfigError
from speechxfer.inference.voice_activity import silero
from speechxfer.inference.voice_activity.detector import Detector
from speechxfer.inference.voice_activity.levels import ENERGY, SOUND
from speechxfer.registry import MissingPackageWarning

CHOICES = ("auto", "silero", "energy", "none")
"""The names of detectors; "auto" is Silero's where it is installed, and levels elsewhere."""

__all__ = ["CHOICES", "SOUND", "Detector", "detector"]


def detector(name: str) -> Detector:
    """The detector of a name; "none" takes all sound for speech, and leaves out only silence.

    Raises:
        ConfigError: another name, or a detector whose package is not installed.
    """
    match name:
        case "none":
            return SOUND
        case "energy":
            return ENERGY
        case "silero":
            return silero.load()
        case "auto" if package := silero.missing():
            warnings.warn(
                f"{package} is not installed, so speech is found by its level, and music may give text; install it: "
                f"pip install {package}",
                MissingPackageWarning,
                stacklevel=2,
            )
            return ENERGY
        case "auto":
            return silero.load()
    raise ConfigError(f"vad is {shown(name)}; wanted one of {', '.join(CHOICES)}")
