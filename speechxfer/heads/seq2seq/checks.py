"""What of a run does not suit a decoder, which has a tokenizer and a number of positions."""

from __future__ import annotations

from speechxfer.data.loading import texts
from speechxfer.data.manifest import Manifest
from speechxfer.heads.base import Head
from speechxfer.progress import Progress


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
