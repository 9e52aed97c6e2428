"""The gate of all targets: an exported model, in its own runtime, against the trained one on the same recordings."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch

from speechxfer.data.loading import durations_s
from speechxfer.data.manifest import Manifest
from speechxfer.decoding.hypothesis import Hypothesis, Prediction
from speechxfer.decoding.options import DecodingOptions
from speechxfer.errors import CheckpointError, ConfigError, ExportError
from speechxfer.export.parity import Parity, chance_of, chosen, error_of, examples, waveforms
from speechxfer.heads.seq2seq.head import Seq2SeqHead
from speechxfer.inference.voice_activity.silero import LICENSE_FILE, NETWORK_FILE
from speechxfer.model import SpeechModel
from speechxfer.progress import Progress
from speechxfer.storage import replacing_folder

#: The fraction of texts that are equal at least, in float32; and with fewer bits, where there is no error rate.
_LEAST_EQUAL, _LEAST_ALIKE = 0.995, 0.75
#: Most that an error rate may rise with fewer bits; but one word or class may always be another.
_MOST_RISE = 0.003
_GREEDY = "both were decoded greedily, for the runtime has no beam search like that of the model"


@dataclass(frozen=True)
class Answer:
    """What one of the two says of a waveform.

    Attributes:
        prediction: its text or its class.
        outputs: what it computed before that; None where the runtime does not show it.
        ended: whether it ended its text itself. Others write until a limit, which each runtime has its own of.
    """

    prediction: Prediction
    outputs: np.ndarray | None = None
    ended: bool = True


#: From a float32 mono 16 kHz waveform.
Compute = Callable[[np.ndarray], Answer]


@dataclass(frozen=True)
class Conversion:
    """How models are written for a runtime and opened by it, called with the arguments of `ExportTarget.convert`.

    Attributes:
        write: writes a model (first argument) and what its saved folder (second) has to a folder (third), with weights
            of a quantization (fourth); waveforms (fifth) are examples of what it will be given.
        open: opens that folder (second) of a model (first) with the runtime itself.
        packages: names of the modules that take part.
        quantizations: those that it knows; empty where the runtime itself refuses others.
        keeps_search: whether the runtime decodes as it is decoded here, with the language model.
        language: what the runtime is given for the comparison, where the model itself finds out what is spoken; None
            where it finds it out in the same way.
    """

    write: Callable[[SpeechModel, Path, Path, str, Sequence[np.ndarray]], None]
    open: Callable[[SpeechModel, Path], Compute]
    packages: tuple[str, ...]
    quantizations: tuple[str, ...] = ("float32", "float16", "int8")
    keeps_search: bool = False
    language: str | None = None

    def __call__(
        self, folder: Path, output: Path, quantization: str, dev: Manifest | None = None,
        progress: Progress | None = None,
    ) -> Parity:  # fmt: skip
        """Write a saved model's folder for the runtime and compare; `output` is only written when the two agree.

        Raises:
            ConfigError: the quantization is not known.
            DataError: utterances that the model cannot be compared on.
            ExportError: the two do not agree, a package is not installed, or the model cannot be converted.
            StorageError: it could not be written.
        """
        if self.quantizations and quantization not in self.quantizations:
            raise ConfigError(f"quantization is {quantization!r}; wanted one of {', '.join(self.quantizations)}")
        if missing := [name for name in self.packages if importlib.util.find_spec(name) is None]:
            raise ExportError(f"{' and '.join(missing)} not installed; python -m pip install 'speechxfer[export]'")
        model = SpeechModel.load(str(folder), device="cpu")
        if dev is not None:
            dev = chosen(dev)
            model.traits.check_measurable(dev, None)
            durations_s(dev, model.max_duration_s)
        with replacing_folder(output) as temporary:
            self.write(model, folder, temporary, quantization, examples(dev))
            try:
                ours = original(model, search=self.keeps_search, language=self.language)
                parity = compare(ours, self.open(model, temporary), dev, progress)
            except CheckpointError as error:
                raise ExportError(f"the exported model does not run: {error}; nothing was written") from error
            parity = replace(parity, sizes=(size_of(temporary), (folder / "model.safetensors").stat().st_size))
            check(parity, quantization)
        left_out = not self.keeps_search and (model.traits.decoding_defaults.beams or 1) > 1
        return replace(parity, note=_GREEDY) if left_out else parity


def size_of(folder: Path) -> int:
    """Of all files but the network that finds speech, in bytes."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in (NETWORK_FILE, LICENSE_FILE))
    return sum(path.stat().st_size for path in files)


def check(parity: Parity, quantization: str) -> None:
    """Check that an export is good enough to be written.

    Raises:
        ExportError: it is not.
    """
    if not agrees(parity, quantization):
        more = "" if parity.error is not None else "; name utterances to compare on (--dev)"
        raise ExportError(f"the exported model does not agree with the original in {quantization} ({parity}){more}; nothing was written")  # fmt: skip  # noqa: E501


def agrees(parity: Parity, quantization: str) -> bool:
    """Whether an export is good enough to be written."""
    if quantization == "float32":
        return parity.same_text >= _LEAST_EQUAL * parity.sounds
    if parity.error is None:
        return parity.same_text >= _LEAST_ALIKE * parity.sounds
    _, before, after, count = parity.error
    return after - before <= max(_MOST_RISE, 1.001 / count)


def compare(ours: Compute, theirs: Compute, dev: Manifest | None, progress: Progress | None = None) -> Parity:
    """Compute one waveform after the other with both, which take turns.

    Args:
        ours: the original.
        theirs: the export.
        dev: utterances with their texts or labels; without them, a few sounds.
        progress: shows how many are done.
    """
    given = waveforms(dev)
    sides = [_Side(ours), _Side(theirs)]
    for side in sides:  # the first time takes longer
        side.compute(given[0])
    pairs = []
    with (progress or Progress()).task("comparing", len(given)) as advance:
        for waveform in given:
            pairs.append(_fitted(*(side.timed(waveform) for side in sides)))
            advance(1)
    before, after = ([answer.prediction for answer in answers] for answers in zip(*pairs, strict=True))
    same = sum(text_of(one) == text_of(other) for one, other in zip(before, after, strict=True))
    error, chance = None, 0.0
    if dev is not None:
        chance = chance_of(dev, before, after)
        (name, one, count), (_, other, _) = (error_of(dev, predictions) for predictions in (before, after))
        error = (name, one, other, count)
    distances = [_distance(*pair) for pair in pairs]
    difference = max((one for one in distances if one is not None), default=None)
    return Parity(len(given), same, difference, error, chance, speed=sides[0].seconds / sides[1].seconds)


class _Side:
    """One of the two, and the seconds that it computed."""

    def __init__(self, compute: Compute) -> None:
        self.compute, self.seconds = compute, 0.0

    def timed(self, waveform: np.ndarray) -> Answer:
        start = time.perf_counter()
        answer = self.compute(waveform)
        self.seconds += time.perf_counter() - start
        return answer


def _fitted(one: Answer, other: Answer) -> tuple[Answer, Answer]:
    """The same two; of a text that the original did not end, only as much as both have."""
    if one.ended:
        return one, other
    texts = text_of(one.prediction), text_of(other.prediction)
    first, second = (Hypothesis(text[: min(map(len, texts))]) for text in texts)
    return replace(one, prediction=first), replace(other, prediction=second)


def _distance(one: Answer, other: Answer) -> float | None:
    """The largest difference of outputs as a fraction of the largest value; None where one shows none."""
    if one.outputs is None or other.outputs is None:
        return None
    return float(np.abs(one.outputs - other.outputs).max(initial=0.0) / np.abs(one.outputs).max(initial=1e-9))


def text_of(prediction: Prediction) -> str:
    """Its text, or its class."""
    return " ".join(prediction.text.split()) if isinstance(prediction, Hypothesis) else prediction.label


def original(model: SpeechModel, *, search: bool, language: str | None) -> Compute:
    """The trained model by torch: greedy, or with its language model's `search`; of a decoder, what it writes first.

    Where a decoder would find out what is spoken, it is this `language`.
    """
    reader, head = model.head.reader, model.head

    @torch.inference_mode()
    def compute(waveform: np.ndarray) -> Answer:
        hidden_states, num_frames = model.encoder(*model.encoder.collate([waveform]))
        if reader is None:
            (written,) = (decoder := cast(Seq2SeqHead, head)).first_try(hidden_states, num_frames, options)
            return Answer(Hypothesis(decoder.tokens.text(written.tokens)), ended=written.ended)
        outputs, lengths = head.outputs(hidden_states, num_frames).numpy(), num_frames.tolist()
        (prediction,) = reader.read(outputs, lengths, options)
        return Answer(prediction, valid_rows(outputs, lengths[0]))

    options = head.decoding_defaults
    if reader is None and language and "language" in head.decoding_options:
        options = options.over(DecodingOptions(language=language))
    if reader is not None:
        greedy = DecodingOptions(beams=1) if "beams" in reader.decoding_options and not search else DecodingOptions()
        options = greedy.over(reader.decoding_defaults)
    return compute


def valid_rows(outputs: np.ndarray, length: int) -> np.ndarray:
    """Outputs of one waveform [1, ...] without what stands beyond its frames."""
    row: np.ndarray = outputs[0]
    return row[:length] if row.ndim > 1 else row
