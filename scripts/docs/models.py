"""The page of published models, from the table that `speechxfer models list` prints."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from speechxfer.families.published import PublishedModel, published_models

_INTRODUCTION = """# Which model for which job

Published models that open here, by the job they suit. `speechxfer models list` prints the same table, and
`speechxfer models list --language Italian` those that were trained on a language. It is not complete: any model of
these families opens, and so does one that somebody adapted.

Choose in this order:

1. **Does a model write your language almost as you want it?** Then keep its own head, and adapt its upper layers.
   A Whisper (`--head seq2seq`) writes case and punctuation, but may write words that nobody said. A CTC head writes
   what was said, and is many times as fast.
2. **Does none?** Take an encoder that was pre-trained on many languages, and train a new CTC head on it.
3. **Take the smallest one that is good enough.** GMAC/s is the cost of computing the encoder, in training and in use.
   States/s and width are what is stored of frozen layers: states/s times width times 2 bytes for a second of audio.
   At 12.5 states/s characters do not fit fluent speech, so a new CTC head has to write sub-words.

Measure the best two on your own recordings ([have it measured](../how-to/measure-transfer.md)), and look at the
license before you publish: `cc-by-nc-4.0` excludes commercial use.
"""
_COLUMNS = """| model | parameters | of its encoder | layers | GMAC/s | states/s | width | languages | license |
|---|---:|---:|---:|---:|---:|---:|---:|---|"""
_LEGEND = """Parameters are in millions. They, operations and states are counted from the models' configurations
(`python -m scripts.count_models`); operations are the encoder's multiply-accumulates for a second of audio, in an
utterance of 10 s. Languages, licenses and notes are those of the models' cards; read the card before you use a model.
"""


def page() -> str:
    """The page in Markdown."""
    models = [model for model in published_models() if model.is_available]
    groups = itertools.groupby(models, key=lambda model: model.job)
    return "\n".join([_INTRODUCTION, *(_section(job, group) for job, group in groups), _LEGEND])


def _section(job: str, models: Iterable[PublishedModel]) -> str:
    rows = list(models)
    notes = [f"- `{model.name}`: {model.note}" for model in rows if model.note]
    parts = [f"## {job.replace('--head seq2seq', '`--head seq2seq`')}\n", _COLUMNS, *map(_row, rows), ""]
    return "\n".join([*parts, *notes, ""] if notes else parts)


def _row(model: PublishedModel) -> str:
    size = model.size
    counted = (
        [
            f"{size.parameters / 1e6:.1f}", f"{size.encoder_parameters / 1e6:.1f}", str(size.layers),
            f"{size.gmacs_per_second:.2f}", f"{size.states_per_second:.3g}", str(size.width),
        ]
        if size
        else [""] * 6
    )  # fmt: skip
    return "| " + " | ".join([f"`{model.name}`", *counted, model.languages_in_short, model.license]) + " |"
