"""What of a run does not suit Whisper's decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speechxfer.data.loading import texts
from speechxfer.data.manifest import Manifest
from speechxfer.errors import ConfigError
from speechxfer.families.whisper.settings import Seq2SeqConfig
from speechxfer.heads.base import Head
from speechxfer.heads.setup import Setup
from speechxfer.progress import Progress

if TYPE_CHECKING:
    from speechxfer.families.whisper.decoder import WhisperSeq2SeqHead


def check_wanted(own: WhisperSeq2SeqHead, setup: Setup) -> None:
    """Check that a decoder can do what a run asks of it.

    Raises:
        ConfigError: it reads another layer, or it lacks the language or the task.
    """
    model, wanted = setup.config.model, setup.config.group_of(Seq2SeqConfig)
    if setup.encoder.stacked:
        raise ConfigError("plan.weighted_layer_sum is true, but Whisper's decoder reads the last layer only; leave it out, or take --head ctc or classification")  # fmt: skip  # noqa: E501
    if own.tokens.is_multilingual and not wanted.language:
        raise ConfigError(f"{model} knows several languages; say which is spoken, for instance --language it")
    if not own.tokens.is_multilingual and wanted.task == "translate":
        raise ConfigError(f"seq2seq.task is 'translate', but {model} knows English only; leave it out")


def report_spelling(head: Head, train: Manifest, progress: Progress) -> None:
    """Report a script that the tokenizer spells byte by byte."""
    num_tokens = sum(head.num_labels(head.targets(utterance)) - 1 for utterance in train)
    num_characters = sum(map(len, texts(train)))
    if num_tokens > num_characters:
        progress.log(
            f"the tokenizer needs {num_tokens} tokens for the {num_characters} characters of the training text: it "
            "spells this script in bytes, so that decoding is slow and learning needs more data; a CTC head may suit "
            "it better"
        )


def report_long_texts(head: Head, manifest: Manifest, progress: Progress) -> None:
    """Report texts that have more tokens than the decoder can write."""
    long = [utterance for utterance in manifest if not head.learnable(head.targets(utterance), 0)]
    if long:
        progress.log(
            f"{long[0].origin}: its text has more tokens than the decoder's {head.max_positions} positions "
            f"({len(long)} of {len(manifest)} utterances have such texts); what is not written counts as wrong"
        )
