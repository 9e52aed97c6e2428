"""`SpeechModel`: an encoder with a head, loaded and saved as one folder and put to use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from speechxfer import adapters
from speechxfer.audio import SAMPLE_RATE
from speechxfer.data.batching import batches
from speechxfer.decoding.calibration import Calibration
from speechxfer.decoding.hypothesis import Prediction
from speechxfer.decoding.options import DecodingOptions
from speechxfer.device import cast_matrices, choose_device, choose_dtype, set_threads
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import MODEL_FILE, find
from speechxfer.encoders.files import read_json
from speechxfer.errors import CheckpointError, ConfigError
from speechxfer.heads.base import Head
from speechxfer.heads.fusion import Fusion
from speechxfer.hf_format import folder_of
from speechxfer.opening import FORMAT, OWN, open_checkpoint
from speechxfer.predictor import Predictor
from speechxfer.storage import replacing_folder, write_json, write_tensors


class SpeechModel(nn.Module, Predictor):
    """An encoder and the head on it.

    Args:
        encoder: waveforms to hidden states.
        head: hidden states to labels.
        source: where the pre-trained weights came from; kept in the folder.
        language: what is spoken, where a call does not say it; of a model of several languages that was opened in one
            of them, its tag, which is kept in the folder.
    """

    def __init__(self, encoder: Encoder, head: Head, source: str, language: str = "") -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.source = source
        self.language = language
        #: What matrices are stored and multiplied in.
        self.dtype = torch.float32

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @classmethod
    def load(
        cls, name: str, *, device: str = "auto", dtype: str = "float32", threads: int | None = None,
        revision: str | None = None, language: str | None = None,
    ) -> SpeechModel:  # fmt: skip
        """Open an adapted model, a CTC or classification model of `transformers`, or one with its own decoder.

        Several threads may use one model: a call changes nothing in it.

        Args:
            name: a folder, an installed package or a hub id.
            device: "auto", "cpu", "cuda" or "cuda:N"; "auto" is the GPU if there is one.
            dtype: "float32", "bfloat16", "float16" (not on a CPU) or "auto", which is bfloat16 on a GPU that has it.
                With 16 bits the model takes half the memory; norms, CTC log-probabilities and class probabilities stay
                float32. Such a model is for inference.
            threads: CPU threads of torch for one operation. It holds for this process and all its models; threads of
                Python that have computed before keep their number. None leaves it as it is.
            revision: of a hub id: a branch, a tag or a commit.
            language: what is spoken, by its code or English name. MMS is opened with the adapters, the vocabulary and
                the CTC head of the language; a multilingual Whisper writes it where a call does not name another.

        Raises:
            CheckpointError: not found, damaged, without the language, or without a head, so that it gives no
                predictions by itself.
            ConfigError: no such device here, a dtype that the device lacks, less than one thread, a revision of a
                folder or package, or a language of a model that has no choice of them.
        """
        chosen = choose_device(device)
        precision = choose_dtype(dtype, chosen)
        set_threads(threads)
        opened = open_checkpoint(find(name, revision, language=language), head=OWN)
        if opened.head is None:
            problem = opened.problem or f"{name}: is an encoder ({opened.encoder.family}) without a head"
            raise CheckpointError(f"{problem}; its encoder can be adapted with speechxfer finetune")
        model = cls(opened.encoder, opened.head, opened.source, opened.language)
        model.checked(DecodingOptions(language=language))
        model.language = opened.language or language or ""
        model.calibration = opened.calibration
        if precision != torch.float32:
            model.dtype = precision
            cast_matrices(model, precision)
        return model.to(chosen).eval()

    def save(self, folder: str | Path) -> None:
        """Write weights, `speechxfer.json` and, where `transformers` has a class for such a model, its files.

        All of them or none. Low-rank adapters are merged into the weights, and kept as PEFT has them in `adapter/`.

        Raises:
            ConfigError: it was loaded in 16 bits, so that its weights are rounded.
            StorageError: it could not be written; a model that stood there before is unchanged.
        """
        if self.dtype != torch.float32:
            raise ConfigError(f"the model was loaded as {self.dtype}, which has rounded its weights; load it with dtype='float32' to save it")  # fmt: skip  # noqa: E501
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in adapters.merged_state(self).items()}
        theirs = folder_of(self.encoder, self.head)
        renamed = theirs.theirs if theirs else dict
        # A head with adapters of its own is not trained itself.
        own = {} if self.head.attention_matrices else {key: state[key] for key in state if key.startswith("head.")}
        description = {"source": self.source, "encoder": self.encoder.describe(), "head": self.head.describe()}
        if self.language and not self._decides_language:
            description["language"] = self.language
        if self.calibration is not None:
            description["calibration"] = asdict(self.calibration)
        with replacing_folder(Path(folder)) as temporary:
            write_tensors(temporary / "model.safetensors", renamed(state))
            adapters.write(self, temporary / "adapter", source=self.source, whole=own, renamed=renamed)
            for name, content in {**self.head.files(), **(theirs.files if theirs else {})}.items():
                write_json(temporary / name, content)
                if name != "config.json" and (temporary / "adapter").is_dir():  # which has no base model's vocabulary
                    write_json(temporary / "adapter" / name, content)
            self.head.write_files(temporary)
            write_json(temporary / MODEL_FILE, {"format": FORMAT, **description})

    @property
    def traits(self) -> Head:
        """The head."""
        return self.head

    @property
    def max_duration_s(self) -> float | None:
        """That of the encoder."""
        return self.encoder.max_duration_s

    def computed_s(self, duration_s: float) -> float:
        """That of the encoder."""
        return self.encoder.computed_s(duration_s)

    @property
    def batch_scale(self) -> int:
        """More on a GPU, to keep it busy."""
        return 1 if self.device.type == "cpu" else 8

    @torch.inference_mode()
    def _frame_log_probabilities(self, waveforms: Sequence[np.ndarray]) -> list[NDArray[np.float32]]:
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            hidden_states, num_frames = self._encoded(waveforms)
            found = self.head.frame_log_probabilities(hidden_states).float().cpu().numpy()
        return [row[:frames] for row, frames in zip(found, num_frames.tolist(), strict=True)]

    @torch.inference_mode()
    def _predict(self, waveforms: Sequence[np.ndarray], options: DecodingOptions) -> Sequence[Prediction]:
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return self.head.decode(*self._encoded(waveforms), options)

    def _encoded(self, waveforms: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        """Hidden states that leave the encoder [batch, frames, width] and their numbers [batch].

        Waveforms of unlike lengths are computed one after the other, so that little is computed for padding.
        """
        lengths_s = [self.computed_s(len(waveform) / SAMPLE_RATE) for waveform in waveforms]
        parts = batches(range(len(waveforms)), lengths_s, math.inf)
        if len(parts) == 1:
            return self._encoded_together(waveforms)
        found: dict[int, tuple[Tensor, Tensor]] = {}
        for part in parts:
            encoded = self._encoded_together([waveforms[index] for index in part])
            found.update(zip(part, zip(*encoded, strict=True), strict=True))
        states, num_frames = zip(*(found[index] for index in range(len(waveforms))), strict=True)
        return pad_sequence(list(states), batch_first=True), torch.stack(num_frames)

    def _encoded_together(self, waveforms: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        inputs, num_samples = self.encoder.collate(waveforms)
        return cast(tuple[Tensor, Tensor], self.encoder(inputs.to(self.device), num_samples.to(self.device)))


def add_language_model(folder: Path, fusion: Fusion) -> None:
    """Add a language model to a saved model; all else stays as it is, and the folder is usable at any moment.

    Raises:
        StorageError: it could not be written.
    """
    fusion.write(folder)
    path = folder / MODEL_FILE
    found = read_json(path)
    write_json(path, {**found, "head": {**found["head"], "language_model": fusion.describe()}})


def add_calibration(folder: Path, calibration: Calibration) -> None:
    """Add a calibration of confidences to a saved model; all else stays as it is.

    Raises:
        StorageError: it could not be written.
    """
    path = folder / MODEL_FILE
    write_json(path, {**read_json(path), "calibration": asdict(calibration)})
