"""Whether a run's manifests suit the model: what would fail late, or is worth a line, is found before the work."""

from __future__ import annotations

from dataclasses import replace

from speechxfer.data.labels import ClassLabels
from speechxfer.data.loading import durations_s, texts
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.errors import DataError
from speechxfer.evaluation.evaluate import check_measurable
from speechxfer.heads.base import Head
from speechxfer.heads.classification.head import ClassificationHead
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.model import SpeechModel
from speechxfer.progress import Progress

#: Rare classes named in a message.
_MOST_SHOWN = 5


def check(
    model: SpeechModel,
    manifests: dict[str, Manifest],
    normalizer: TextNormalizer,
    *,
    ignore_unknown: bool,
    progress: Progress,
) -> None:
    """Everything that is known before the first step to go wrong, or to be worth a line.

    What is to be retained (`retain`) may hold characters that the head does not write: that is what was forgotten.

    Args:
        model: before its first step.
        manifests: by split; of "train" what can be learned from.
        normalizer: applied before errors are counted.
        ignore_unknown: let dev and test hold characters that the head does not write.
        progress: the lines go there.

    Raises:
        DataError: a split that is measured lacks texts, words or labels, holds what the head does not know, or audio
            that cannot be read or is longer than the model takes.
    """
    head, measured = model.head, {name: one for name, one in manifests.items() if name != "train"}
    for manifest in measured.values():
        check_measurable(model, manifest, normalizer)
        check_audio(manifest, model.encoder.max_duration_s)
    if isinstance(head, CTCHead):
        written = {name: manifest for name, manifest in manifests.items() if name != "retain"}
        check_characters(head, written, ignore=ignore_unknown, progress=progress)
    elif isinstance(head, ClassificationHead):
        report_rare(head.labels, manifests["train"], progress)
    elif head.max_positions is not None:
        report_tokens(head, manifests["train"], progress)
        report_long(head, measured, progress)


def check_audio(manifest: Manifest, longest_s: float | None) -> None:
    """Look at the headers of all files, also where the manifest says how long they are.

    Raises:
        DataError: one cannot be read, or an utterance is longer than `longest_s`.
    """
    files = {utterance.path: replace(utterance, duration=None) for utterance in reversed(manifest)}
    Manifest(files.values()).with_durations()
    durations_s(manifest, longest_s)


def report_tokens(head: Head, train: Manifest, progress: Progress) -> None:
    """Report a script that the tokenizer spells byte by byte."""
    num_tokens = sum(head.num_labels(head.targets(utterance)) - 1 for utterance in train)
    num_characters = sum(map(len, texts(train)))
    if num_tokens > num_characters:
        progress.say(
            f"the tokenizer needs {num_tokens} tokens for the {num_characters} characters of the training text: it "
            "spells this script in bytes, so that decoding is slow and learning needs more data; a CTC head may suit "
            "it better"
        )


def report_long(head: Head, measured: dict[str, Manifest], progress: Progress) -> None:
    """Report texts of measured splits that have more tokens than the decoder can write."""
    for manifest in measured.values():
        long = [utterance for utterance in manifest if not head.learnable(head.targets(utterance), 0)]
        if long:
            progress.say(
                f"{long[0].origin}: its text has more tokens than the decoder's {head.max_positions} positions "
                f"({len(long)} of {len(manifest)} utterances have such texts); what is not written counts as wrong"
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
