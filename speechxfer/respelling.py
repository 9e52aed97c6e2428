"""Transcripts in a Whisper's own spelling: the case of letters and the mark at the end that it finds likeliest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from speechxfer.audio import SAMPLE_RATE
from speechxfer.data.batching import batches
from speechxfer.data.loading import durations_s, read
from speechxfer.data.manifest import Manifest
from speechxfer.device import choose_device
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import ConfigError, DataError
from speechxfer.heads.text_scorer import TextScorer
from speechxfer.model import SpeechModel
from speechxfer.opening import OWN, open_checkpoint
from speechxfer.progress import Progress

#: What may end a transcript that ends in a letter or a digit.
_MARKS = (".", "?", "!", "")
#: Seconds of silence after an utterance, by which an untouched Whisper hears that it has ended.
_SILENCE_S = 2.0
#: Tokens that a capital, the mark and the end may add to a text.
_SPARE = 8
#: Seconds of audio computed together.
_BATCH_S = 60.0


def respelled(
    manifest: Manifest, name: str, *, language: str | None = None, device: str = "auto",
    progress: Progress | None = None,
) -> Manifest:  # fmt: skip
    """The manifest with every transcript's case and end mark as the Whisper called `name` would have written its words.

    Corpora often have transcripts in one case and without marks, and a Whisper that learns from them forgets how to
    write both. Of each word the model is asked, given the sound and the other words, whether it is likelier with its
    first letter in upper case; the first word of a transcript always is. Which words there are stays as it is.

    Raises:
        CheckpointError: the model cannot be found or read.
        ConfigError: the model is no Whisper, or lacks the language.
        DataError: audio that cannot be read, or a text longer than the decoder.
    """
    # An untouched Whisper only writes on what is padded to 30 s, but it judges what is written without that.
    opened = open_checkpoint(find(name), head=OWN, pad_to_30s=False)
    head = opened.head
    if not isinstance(head, TextScorer):
        reason = f" ({opened.problem})" if opened.problem else ""
        raise ConfigError(f"{name}: has no decoder that knows how words are spelled{reason}; wanted a Whisper")
    model = SpeechModel(opened.encoder, head, opened.source).to(choose_device(device)).eval()
    lengths = [seconds + _SILENCE_S for seconds in durations_s(manifest, model.encoder.max_duration_s)]
    texts = [utterance.text or "" for utterance in manifest]
    for utterance, text in zip(manifest, texts, strict=True):
        count = head.num_positions(text.lower()) + _SPARE
        if head.max_positions is not None and count > head.max_positions:
            raise DataError(f"{utterance.origin}: its text takes about {count} tokens, but the decoder of {name} has {head.max_positions} positions; cut the utterance in parts")  # fmt: skip  # noqa: E501
    with (progress or Progress()).task("respelling", len(manifest)) as advance:
        for batch in batches(range(len(manifest)), lengths, _BATCH_S):
            chosen = [index for index in batch if texts[index].split()]
            if chosen:
                waveforms = [read(manifest[index], progress) for index in chosen]
                spelt = _spelt(model, head, waveforms, [texts[index] for index in chosen], language)
                for index, text in zip(chosen, spelt, strict=True):
                    texts[index] = text
            advance(len(batch))
    # Where there is no word, nothing said ("") and no transcript stay what they are.
    return Manifest(
        (
            replace(utterance, text=text) if text.split() else utterance
            for utterance, text in zip(manifest, texts, strict=True)
        ),
        manifest.path,
    )


@torch.inference_mode()
def _spelt(
    model: SpeechModel,
    head: TextScorer,
    waveforms: Sequence[np.ndarray],
    texts: Sequence[str],
    language: str | None,
) -> list[str]:
    longest = int((model.encoder.max_duration_s or np.inf) * SAMPLE_RATE)
    silence = round(_SILENCE_S * SAMPLE_RATE)
    heard = [np.pad(one, (0, max(0, min(silence, longest - len(one))))) for one in waveforms]
    values, num_samples = model.encoder.collate(heard)
    hidden_states, num_frames = model.encoder(values.to(model.device), num_samples.to(model.device))

    def chances(candidates: Sequence[Sequence[str]]) -> list[list[float]]:
        return head.log_probabilities(hidden_states, num_frames, candidates, language=language)

    lower = [text.lower().split() for text in texts]
    begun = [" ".join([_capital(words[0]), *words[1:]]) for words in lower]
    ended = [[text + mark for mark in _MARKS] if text[-1].isalnum() else [text] for text in begun]
    plain = [some[int(np.argmax(scores))] for some, scores in zip(ended, chances(ended), strict=True)]
    words = [text.split() for text in plain]
    # Where a word has no other case (a number, a script without cases), asking costs little and changes nothing.
    raised = [
        [" ".join(some), *(" ".join([*some[:n], _capital(some[n]), *some[n + 1 :]]) for n in range(1, len(some)))]
        for some in words
    ]
    return [
        " ".join(
            [some[0], *(_capital(word) if score > base else word for word, score in zip(some[1:], rest, strict=True))]
        )
        for some, (base, *rest) in zip(words, chances(raised), strict=True)
    ]


def _capital(word: str) -> str:
    """With a capital, where the first letter has one of its own: that of "ß" is two letters, that of "ı" is of "i"."""  # noqa: RUF002
    first = word[:1].upper()
    return first + word[1:] if first.lower() == word[:1] else word
