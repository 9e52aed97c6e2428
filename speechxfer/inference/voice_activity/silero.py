"""Silero's voice activity detector, a small recurrent network, from the package `silero-vad` and run by onnxruntime."""

from __future__ import annotations

import functools
import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from speechxfer.audio import Waveform
from speechxfer.errors import ConfigError
from speechxfer.inference.silence import HOP, hop_powers
from speechxfer.inference.voice_activity.detector import Detector, Flags

_PACKAGE, _FILE = "silero_vad", "data/silero_vad_16k_sequence.onnx"
#: In the folder of an exported model, with its license.
NETWORK_FILE, LICENSE_FILE = "voice_activity.onnx", "voice_activity_license.txt"
#: The package requires torch, which its network does not need.
INSTALL = "python -m pip install --no-deps silero-vad"
_FRAME, _CONTEXT, _STATE = 512, 64, (1, 1, 128)  # samples of a frame and before it that the network is given; its state

# Speech begins above one probability and lasts until the next is below the other.
_BEGINS, _ENDS = 0.5, 0.35
_SHORTEST, _LONGEST_PAUSE, _MARGIN = 10, 70, 10  # hops

# The network misses speech below -50 dB; so quiet sound is amplified.
_SPEECH_LEVEL, _MOST_GAIN = 0.1, 100.0
_DECAY = 0.7  # of the level that is followed, per chunk: -30 dB in 20 s


def is_missing() -> bool:
    """Whether the package with the network is not installed."""
    return importlib.util.find_spec(_PACKAGE) is None


def load(network: Path | None = None) -> Detector:
    """The detector, by the network of a file, or else of the package.

    Raises:
        ConfigError: the package is missing, or has no such network.
    """
    _session(network or _packaged())  # or its error
    return Detector(functools.partial(_started, network), _SHORTEST, _LONGEST_PAUSE, _MARGIN)


def _started(network: Path | None) -> _Silero:
    """The marker of one stream; a function of the file's name, so that detectors can be sent to other processes."""
    return _Silero(_session(network or _packaged()))


def write_files(folder: Path) -> None:
    """Write network and license to the folder of an exported model, which so finds speech as the trained one does.

    Raises:
        ConfigError: the package is missing, or has no such network.
    """
    import importlib.metadata  # late: finding speech does not take it

    shutil.copyfile(_packaged(), folder / NETWORK_FILE)
    found = [path for path in importlib.metadata.files("silero-vad") or () if path.name == "LICENSE"]
    (folder / LICENSE_FILE).write_text("".join(path.read_text() for path in found), encoding="utf-8")


def _packaged() -> Path:
    """The package's network; it is found without importing the package, which would import torchaudio."""
    if is_missing():
        raise ConfigError(f"silero-vad, whose network finds speech, is not installed; {INSTALL}")
    spec = importlib.util.find_spec(_PACKAGE)
    path = Path(spec.origin if spec and spec.origin else "").parent / _FILE
    if not path.is_file():
        raise ConfigError(f"vad: {path} is missing; install another version: {INSTALL} --upgrade")
    return path


@functools.cache
def _session(network: Path) -> Any:
    """An open network."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # it warns of what its own optimizer removes
    return onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])


class _Silero:
    """The network on one stream, whose state it carries along."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._hidden = self._cell = np.zeros(_STATE, np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)
        self._level = 0.0
        self._speaks = False

    def __call__(self, chunk: Waveform) -> Flags:
        num_hops = -(-len(chunk) // HOP)
        flags = np.zeros(num_hops, bool)
        for index, probability in enumerate(self._probabilities(self._amplified(chunk))):
            self._speaks = bool(probability >= (_ENDS if self._speaks else _BEGINS))
            if self._speaks:
                flags[index * _FRAME // HOP : -(-(index + 1) * _FRAME // HOP)] = True
        return flags

    def _amplified(self, chunk: Waveform) -> Waveform:
        """The samples without their mean, at a level at which speech is recognized."""
        loudest = float(np.sqrt(np.percentile(hop_powers(chunk), 95)))
        self._level = max(loudest, self._level * _DECAY)
        gain = np.clip(_SPEECH_LEVEL / max(self._level, 1e-9), 1, _MOST_GAIN)
        amplified: Waveform = ((chunk - chunk.mean()) * gain).astype(np.float32)
        return amplified

    def _probabilities(self, samples: Waveform) -> np.ndarray:
        """The probability of speech in each frame [ceil(num_samples / 512)]."""
        padded = np.concatenate([self._context, samples, np.zeros(-len(samples) % _FRAME, np.float32)])
        self._context = padded[-_CONTEXT:]
        frames = np.lib.stride_tricks.sliding_window_view(padded, _CONTEXT + _FRAME)[::_FRAME]
        inputs = {"input": np.ascontiguousarray(frames), "h": self._hidden, "c": self._cell}
        probabilities, self._hidden, self._cell = self._session.run(None, inputs)
        return np.asarray(probabilities)
