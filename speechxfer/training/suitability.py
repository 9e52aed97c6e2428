"""Whether a run's manifests suit each other and the audio: unknown characters and classes, too long texts."""

from __future__ import annotations

from speechxfer.data.labels import ClassLabels
from speechxfer.data.loading import durations_s, texts
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import frames_needed
from speechxfer.encoders.base import Encoder
from speechxfer.errors import DataError
from speechxfer.heads.base import Head
from speechxfer.heads.classification import ClassificationHead
from speechxfer.heads.ctc import CTCHead
from speechxfer.model import SpeechModel
from speechxfer.progress import Progress

#: Rare classes named in a message.
_MOST_SHOWN = 5


def check(model: SpeechModel, manifests: dict[str, Manifest], *, ignore_unknown: bool, progress: Progress) -> None:
    """Everything that is known before the first step to go wrong, or to be worth a word.

    What is to be retained (`retain`) may hold characters that the head does not write: that is what was forgotten.

    Raises:
        DataError: what dev or test holds cannot be told by the head, or a split lacks texts or labels.
    """
    manifests = dict(manifests)
    retain = manifests.pop("retain", None)
    if retain is not None:
        model.head.labels.check(retain) if isinstance(model.head, ClassificationHead) else texts(retain)
    if isinstance(model.head, CTCHead):
        check_characters(model.head, manifests, ignore=ignore_unknown, progress=progress)
        report_short(model.encoder, model.head, manifests["train"], progress)
    elif isinstance(model.head, ClassificationHead):
        for manifest in manifests.values():
            model.head.labels.check(manifest)
        report_rare(model.head.labels, manifests["train"], progress)
    elif model.head.max_positions is not None:
        check_positions(model.head, model.head.max_positions, manifests["train"], progress)


def check_positions(head: Head, most: int, train: Manifest, progress: Progress) -> None:
    """Look for texts that are longer than the decoder, and say so where a script is spelled byte by byte.

    Raises:
        DataError: a text is too long.
    """
    num_tokens = num_characters = 0
    for utterance, text in zip(train, texts(train), strict=True):
        targets = head.targets(utterance)
        if len(targets) > most:
            raise DataError(
                f"{utterance.origin}: its text takes {len(targets)} tokens with the prompt and the end, but the "
                f"decoder has {most} positions; cut it together with its audio, or leave it out"
            )
        num_tokens += head.num_labels(targets) - 1
        num_characters += len(text)
    if num_tokens > num_characters:
        progress.say(
            f"the tokenizer needs {num_tokens} tokens for the {num_characters} characters of the training text: it "
            "spells this script in bytes, so that decoding is slow and learning needs more data; a CTC head may suit "
            "it better"
        )


def check_characters(head: CTCHead, manifests: dict[str, Manifest], *, ignore: bool, progress: Progress) -> None:
    """Look for characters outside the head's vocabulary.

    Raises:
        DataError: there are some, and they are not to be ignored.
    """
    for name, manifest in manifests.items():
        missing = {}
        for utterance, text in zip(manifest, texts(manifest), strict=True):
            if unknown := head.vocabulary.unknown(head.normalizer(text)):
                missing[utterance.origin] = "".join(unknown)
        if missing:
            line, characters = next(iter(missing.items()))
            message = (
                f"{line}: {characters!r} does not occur in the training text, so it cannot be written "
                f"({len(missing)} of {len(manifest)} utterances of {name} hold such characters)"
            )
            if not ignore:
                raise DataError(f"{message}; add training text with it, or pass --ignore-unknown to count it as wrong")
            progress.say(f"{message}; they count as wrong")


def report_rare(labels: ClassLabels, train: Manifest, progress: Progress) -> None:
    """Say which classes have a single training utterance."""
    counts = labels.counts(train)
    single = {
        labels.names[number]: utterance.origin
        for utterance in train
        for number in labels.numbers(utterance)
        if counts[labels.names[number]] == 1
    }
    if single:
        shown = ", ".join(f"{name!r} ({line})" for name, line in list(single.items())[:_MOST_SHOWN])
        more = ", …" if len(single) > _MOST_SHOWN else ""
        progress.say(
            f"{len(single)} of {len(labels)} classes have a single training utterance, which is too little to learn "
            f"them from: {shown}{more}. Add some, join the class to another, or leave it out."
        )


def report_short(encoder: Encoder, head: CTCHead, train: Manifest, progress: Progress) -> None:
    """Say how many utterances have fewer frames than their text needs; pooled frames are counted."""
    durations = durations_s(train, encoder.max_duration_s)
    short = [
        (utterance, frames, needed)
        for utterance, duration in zip(train, durations, strict=True)
        if (needed := frames_needed(head.targets(utterance)))
        > (frames := encoder.output_frames(encoder.num_frames(int(duration * encoder.sample_rate))))
    ]
    if short:
        utterance, frames, needed = short[0]
        remedy = "A smaller --frame-stride gives more." if encoder.pooling is not None else "Does it belong there?"
        progress.say(
            f"{len(short)} of {len(train)} training utterances are too short for their text and teach nothing; the "
            f"first is {utterance.origin}: {frames} frames, but {needed} are needed to spell it. {remedy}"
        )
