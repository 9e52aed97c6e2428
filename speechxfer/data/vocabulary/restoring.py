"""Vocabularies from a model folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from speechxfer.data.vocabulary.base import Vocabulary
from speechxfer.data.vocabulary.characters import Characters
from speechxfer.data.vocabulary.phonemes import Phonemes
from speechxfer.data.vocabulary.pieces import Pieces
from speechxfer.errors import CheckpointError

_KINDS: dict[str, type[Vocabulary]] = {kind.kind: kind for kind in (Characters, Pieces, Phonemes)}


def restore_vocabulary(description: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary that `to_dict` describes; without a kind, it is one of characters.

    Raises:
        CheckpointError: a kind that is not known, or a description that is damaged.
    """
    kind = description.get("kind", Characters.kind) if isinstance(description, Mapping) else type(description).__name__
    if not isinstance(kind, str) or kind not in _KINDS:
        raise CheckpointError(f"a CTC vocabulary of {kind!r} is not known; wanted one of {', '.join(_KINDS)}, or a newer version of speechxfer")  # fmt: skip  # noqa: E501
    try:
        return _KINDS[kind].restore(description)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"the description of a CTC vocabulary of {kind} is damaged ({error!r})") from error
