"""Truecasing: restore the upper case and the final punctuation of transcripts with a Whisper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from speechxfer.audio import SAMPLE_RATE
from speechxfer.data.batching import batches
from speechxfer.data.loading import durations_s, read
from speechxfer.data.manifest import Manifest
from speechxfer.decoding.options import DecodingOptions
from speechxfer.device import choose_device
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import ConfigError, DataError
from speechxfer.heads.text_scorer import TextScorer
from speechxfer.model import SpeechModel
from speechxfer.opening import OWN, open_checkpoint
from speechxfer.progress import Progress

#: Candidates for the final punctuation of a transcript that ends in a letter or a digit.
_MARKS = (".", "?", "!", "")
#: Seconds of silence after an utterance, from which an unadapted Whisper detects its end.
_SILENCE_S = 2.0
#: Tokens that capitals, punctuation and the end of text may add.
_SPARE = 8
#: Seconds of audio in one batch.
_BATCH_S = 60.0


def truecased(
    manifest: Manifest, name: str, *, language: str | None = None, device: str = "auto",
    progress: Progress | None = None,
) -> Manifest:  # fmt: skip
    """The manifest with the case and final punctuation of every transcript as the Whisper called `name` prefers them.

    Many corpora have transcripts in one case and without punctuation, and a Whisper trained on them no longer writes
    either. The first word of a transcript is capitalized; each other word is, if the model finds that more likely
    given the audio and the other words. The words themselves do not change.

    Raises:
        CheckpointError: the model cannot be found or read.
        ConfigError: the model is not a Whisper, or lacks the language.
        DataError: audio that cannot be read, or a text longer than the decoder.
    """
    # An unadapted Whisper transcribes only audio padded to 30 s, but scores given texts without padding.
    opened = open_checkpoint(find(name), head=OWN, pad_to_30s=False)
    head = opened.head
    if not isinstance(head, TextScorer):
        reason = f" ({opened.problem})" if opened.problem else ""
        raise ConfigError(f"{name}: has no decoder to score spellings with{reason}; wanted a Whisper")
    model = SpeechModel(opened.encoder, head, opened.source).to(choose_device(device)).eval()
    lengths = [seconds + _SILENCE_S for seconds in durations_s(manifest, model.encoder.max_duration_s)]
    texts = [utterance.text or "" for utterance in manifest]
    for utterance, text in zip(manifest, texts, strict=True):
        count = head.num_positions(text.lower()) + _SPARE
        if head.max_positions is not None and count > head.max_positions:
            raise DataError(f"{utterance.origin}: its text takes about {count} tokens, but the decoder of {name} has {head.max_positions} positions; split the utterance")  # fmt: skip  # noqa: E501
    with (progress or Progress()).task("truecasing", len(manifest)) as advance:
        for batch in batches(range(len(manifest)), lengths, _BATCH_S):
            chosen = [index for index in batch if texts[index].split()]
            if chosen:
                waveforms = [read(manifest[index], progress) for index in chosen]
                cased = _truecase(model, head, waveforms, [texts[index] for index in chosen], language)
                for index, text in zip(chosen, cased, strict=True):
                    texts[index] = text
            advance(len(batch))
    # An empty transcript ("") and a missing one (None) stay as they are.
    return Manifest(
        (
            replace(utterance, text=text) if text.split() else utterance
            for utterance, text in zip(manifest, texts, strict=True)
        ),
        manifest.path,
    )


@torch.inference_mode()
def _truecase(
    model: SpeechModel,
    head: TextScorer,
    waveforms: Sequence[np.ndarray],
    texts: Sequence[str],
    language: str | None,
) -> list[str]:
    longest = (model.encoder.max_duration_s or np.inf) * SAMPLE_RATE
    silence = round(_SILENCE_S * SAMPLE_RATE)
    padded = [np.pad(one, (0, int(max(0, min(silence, longest - len(one)))))) for one in waveforms]
    values, num_samples = model.encoder.collate(padded)
    hidden_states, num_frames = model.encoder(values.to(model.device), num_samples.to(model.device))

    def scores_of(candidates: Sequence[Sequence[str]]) -> list[list[float]]:
        return head.log_probabilities(hidden_states, num_frames, candidates, DecodingOptions(language=language))

    lower = [text.lower().split() for text in texts]
    first_cased = [" ".join([_capital(words[0]), *words[1:]]) for words in lower]
    candidates = [[text + mark for mark in _MARKS] if text[-1].isalnum() else [text] for text in first_cased]
    plain = [some[int(np.argmax(scores))] for some, scores in zip(candidates, scores_of(candidates), strict=True)]
    words = [text.split() for text in plain]
    # A word without case (a number, a script without cases) is scored too, which changes nothing.
    capitalized = [
        [" ".join(some), *(" ".join([*some[:n], _capital(some[n]), *some[n + 1 :]]) for n in range(1, len(some)))]
        for some in words
    ]
    return [
        " ".join(
            [some[0], *(_capital(word) if score > base else word for word, score in zip(some[1:], rest, strict=True))]
        )
        for some, (base, *rest) in zip(words, scores_of(capitalized), strict=True)
    ]


def _capital(word: str) -> str:
    """The word with its first letter in upper case, if that is reversible: "ß" becomes two letters, "ı" that of "i"."""  # noqa: RUF002
    first = word[:1].upper()
    return first + word[1:] if first.lower() == word[:1] else word
