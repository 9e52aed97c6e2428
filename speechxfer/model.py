"""`SpeechModel`: an encoder with a head, loaded and saved as one folder and put to use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from speechxfer.audio import Source, blocks, from_array
from speechxfer.data.text import CTCVocabulary, TextNormalizer
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.encoders import load_encoder, restore_encoder
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import MODEL_FILE, Checkpoint, find, read_json, read_weights
from speechxfer.errors import CheckpointError, ConfigError
from speechxfer.heads.base import Head
from speechxfer.heads.ctc import CTCHead
from speechxfer.storage import replacing_folder, write_json, write_tensors
from speechxfer.transcription import Transcript, transcribe

_FORMAT = 1
_SEGMENT_S = 28.0


class SpeechModel(nn.Module):
    """An encoder and the head on it.

    Args:
        encoder: waveforms to hidden states.
        head: hidden states to labels.
        source: where the pre-trained weights came from; kept in the folder.
    """

    def __init__(self, encoder: Encoder, head: Head, source: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.source = source

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @classmethod
    def load(cls, name: str, *, device: str = "auto") -> SpeechModel:
        """Open an adapted model's folder, or an untouched Whisper with its own decoder.

        Raises:
            CheckpointError: not found, damaged, or nothing that can transcribe.
            ConfigError: the device does not exist.
        """
        chosen = choose_device(device)
        checkpoint = find(name)
        model = cls._load_saved(checkpoint) if checkpoint.is_ours else cls._load_whisper(checkpoint)
        return model.to(chosen).eval()

    @classmethod
    def _load_saved(cls, checkpoint: Checkpoint) -> SpeechModel:
        description = read_json(checkpoint.folder / MODEL_FILE)
        if description.get("format") != _FORMAT:
            raise CheckpointError(
                f"{checkpoint.folder / MODEL_FILE}: format {description.get('format')!r}, but this version reads "
                f"format {_FORMAT}; upgrade speechxfer or train again"
            )
        encoder = restore_encoder(description["encoder"])
        head = restore_head(description["head"], encoder)
        model = cls(encoder, head, description["source"])
        try:
            model.load_state_dict(read_weights(checkpoint.folder))
        except RuntimeError as error:
            detail = " ".join(str(error).split())
            raise CheckpointError(f"{checkpoint.folder}: weights do not fit {MODEL_FILE}: {detail:.300}") from error
        return model

    @classmethod
    def _load_whisper(cls, checkpoint: Checkpoint) -> SpeechModel:
        from speechxfer.heads.seq2seq import load_whisper_head

        config, state = checkpoint.read()
        if config.get("model_type") != "whisper":
            raise CheckpointError(
                f"{checkpoint.name}: is an encoder ({config.get('model_type')}) that writes nothing by itself; "
                "adapt it first with speechxfer finetune"
            )
        # Its decoder only works on what it was trained with: 30 s, whatever was said.
        encoder = load_encoder(checkpoint.name, config, state, pad_to_30s=True)
        return cls(encoder, load_whisper_head(checkpoint.folder, config, state), checkpoint.name)

    def save(self, folder: str | Path) -> None:
        """Write `model.safetensors`, `config.json` and `speechxfer.json`, all of them or none.

        Raises:
            StorageError: it could not be written; a model that stood there before is untouched.
        """
        encoder, head = self.encoder.describe(), self.head.describe()
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        with replacing_folder(Path(folder)) as temporary:
            write_tensors(temporary / "model.safetensors", state)
            write_json(temporary / "config.json", encoder["config"])
            description = {"format": _FORMAT, "source": self.source, "encoder": encoder, "head": head}
            write_json(temporary / MODEL_FILE, description)

    @torch.inference_mode()
    def recognise(self, waveforms: Sequence[np.ndarray], *, language: str | None = None) -> list[Hypothesis]:
        """One hypothesis for each float32 mono 16 kHz waveform; together they make one batch.

        Raises:
            ConfigError: a language was named that the head does not know.
        """
        if not waveforms:
            return []
        inputs, num_samples = self.encoder.collate(waveforms)
        hidden_states, num_frames = self.encoder(inputs.to(self.device), num_samples.to(self.device))
        return self.head.decode(hidden_states, num_frames, language=language)

    def transcribe(
        self,
        audio: Source | np.ndarray,
        *,
        sample_rate: int | None = None,
        language: str | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Transcript:
        """Transcribe a file, its bytes, or an array with its `sample_rate` in Hz; of any length.

        Long audio is cut at silences and streamed, so memory does not grow with it. `progress` is called
        with the seconds done.

        Raises:
            AudioError: it is not usable sound.
            ConfigError: an array without its rate.
        """
        if isinstance(audio, np.ndarray):
            if sample_rate is None:
                raise ConfigError("an array of samples needs its sample_rate, in Hz")
            stream, source = iter([from_array(audio, sample_rate)]), None
        else:
            stream, source = blocks(audio), str(audio) if isinstance(audio, str | Path) else None
        limit = min(_SEGMENT_S, self.encoder.max_duration_s or _SEGMENT_S)

        def recognise(waveforms: Sequence[np.ndarray]) -> list[Hypothesis]:
            return self.recognise(waveforms, language=language)

        return transcribe(
            stream,
            recognise,
            max_segment_s=limit,
            cost_s=self.encoder.computed_s,
            source=source,
            progress=progress,
        )


def restore_head(description: dict[str, Any], encoder: Encoder) -> Head:
    """Build the head that `Head.describe` described, with random weights.

    Raises:
        CheckpointError: of a kind or normaliser version that this version does not have.
    """
    if description.get("kind") != "ctc":
        raise CheckpointError(f"a head of kind {description.get('kind')!r} is not known to this version (known: ctc)")
    normalizer = TextNormalizer(description["normalizer"]["name"])
    if normalizer.version != description["normalizer"]["version"]:
        raise CheckpointError(
            f"the model was trained with text normaliser {normalizer.name}/{description['normalizer']['version']}, "
            f"but this version has {normalizer}; install the version it was trained with"
        )
    vocabulary = CTCVocabulary(cast(list[str], description["vocabulary"]["symbols"]))
    return CTCHead(encoder.width, encoder.output_frame_rate, vocabulary, normalizer)


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU if there is one.

    Raises:
        ConfigError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device {name!r} is not known; wanted auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device {name!r}: torch sees no GPU here; `speechxfer doctor` says more, or use --device cpu"
        )
    return device
