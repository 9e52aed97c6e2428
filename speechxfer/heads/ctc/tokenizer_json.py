"""`tokenizer.json`, in which the package `tokenizers` keeps pieces of words: read and written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from speechxfer.data.vocabulary import Pieces
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.encoders.files import read_json
from speechxfer.errors import CheckpointError
from speechxfer.records import converted

NAME = "tokenizer.json"
#: Stands for the space in a piece.
_MARK = "▁"
_PAD = "<pad>"


@dataclass(frozen=True)
class _Added:
    """An entry of `added_tokens`."""

    id: int
    content: str
    special: bool = False


@dataclass(frozen=True)
class PieceFile:
    """The tokens of a `tokenizer.json`, and how texts are split into them."""

    path: Path
    #: Token -> number.
    tokens: dict[str, int]
    #: Tokens that were added to those, by number.
    added: dict[int, str]
    special: frozenset[str]
    mark: str
    merges: list[tuple[str, str]] | None
    scores: dict[str, float] | None

    @classmethod
    def read(cls, checkpoint: Checkpoint) -> PieceFile:
        """From a model's folder.

        Raises:
            CheckpointError: the file is missing or damaged, or texts are split in a way that is not supported.
        """
        path = checkpoint.file(NAME)
        content = read_json(path)
        try:
            return cls._of(path, content)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            seen = f"lacks {error}" if isinstance(error, KeyError) else f"{error}"
            raise CheckpointError(f"{path}: is not a tokenizer's file as the package tokenizers writes it ({seen}); copy it again from where the tokenizer was saved") from error  # fmt: skip  # noqa: E501

    @classmethod
    def _of(cls, path: Path, content: Mapping[str, Any]) -> PieceFile:
        model = content["model"]
        parts = {part.get("type"): part for name in ("pre_tokenizer", "decoder") for part in _parts(content.get(name))}
        kind = model.get("type") or ("BPE" if "merges" in model else "Unigram")
        affixes = any(model.get(name) for name in ("continuing_subword_prefix", "end_of_word_suffix"))
        if kind not in {"BPE", "Unigram", "WordPiece"} or affixes or "ByteLevel" in parts:
            seen = "BPE over bytes" if "ByteLevel" in parts else f"{kind} with marks inside words" if affixes else kind
            raise CheckpointError(f"{path}: its pieces of words are those of {seen}, which is not supported; wanted BPE or Unigram over characters")  # fmt: skip  # noqa: E501
        entries = converted(list[_Added], content.get("added_tokens") or [], "added_tokens")
        added = {entry.id: entry.content for entry in entries}
        special = frozenset(entry.content for entry in entries if entry.special)
        mark = converted(str, parts.get("Metaspace", {}).get("replacement", _MARK), "replacement")
        if kind != "Unigram":  # WordPiece takes the longest piece
            merges = [_pair(merge) for merge in model["merges"]] if kind == "BPE" else None
            return cls(path, converted(dict[str, int], model["vocab"], "vocab"), added, special, mark, merges, None)
        scores = dict(converted(list[tuple[str, float]], model["vocab"], "vocab"))
        return cls(path, {token: number for number, token in enumerate(scores)}, added, special, mark, None, scores)

    def pieces(self, text: Mapping[int, str]) -> tuple[Pieces, dict[str, int]]:
        """The vocabulary of those tokens that are text, and the number of each piece.

        Raises:
            CheckpointError: they do not fit together.
        """
        numbers: dict[str, int] = {}
        for number, token in sorted(text.items()):
            numbers.setdefault(self._written(token), number)
        merges = scores = None
        if self.merges is not None:
            written = [(self._written(first), self._written(second)) for first, second in self.merges]
            merges = [pair for pair in written if {*pair, "".join(pair)} <= numbers.keys()]
        if self.scores is not None:
            least = min(self.scores.values())
            scores = [self.scores.get(text[number], least) for number in numbers.values()]
        return Pieces(numbers, merges=merges, scores=scores), numbers

    def _written(self, token: str) -> str:
        return token.replace(self.mark, " ")


def files(vocabulary: Pieces) -> dict[str, Any] | None:
    """Files of a `ParakeetTokenizer` that writes the same; None where the mark of the space is a character."""
    if _MARK in vocabulary.alphabet:
        return None
    tokens = [_PAD, *(symbol.replace(" ", _MARK) for symbol in vocabulary.symbols)]
    tokenizer = Tokenizer(_model(tokens, vocabulary))
    across_words = any(" " in symbol[1:] for symbol in vocabulary.symbols)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(_MARK, "always", not across_words)
    # Which, unlike Metaspace, keeps the spaces inside the first piece.
    tokenizer.decoder = decoders.Sequence([decoders.Replace(_MARK, " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens([_PAD])
    settings = {"tokenizer_class": "ParakeetTokenizer", "pad_token": _PAD, "clean_up_tokenization_spaces": False}
    return {NAME: json.loads(tokenizer.to_str()), "tokenizer_config.json": settings}


def _model(tokens: list[str], vocabulary: Pieces) -> models.BPE | models.Unigram | models.WordPiece:
    numbers = {token: number for number, token in enumerate(tokens)}
    if vocabulary.merges is not None:
        merges = [(first.replace(" ", _MARK), second.replace(" ", _MARK)) for first, second in vocabulary.merges]
        return models.BPE(numbers, merges)
    if vocabulary.scores is not None:
        return models.Unigram(list(zip(tokens, [0.0, *vocabulary.scores], strict=True)), 0)
    # Which takes the longest piece, too.
    return models.WordPiece(numbers, unk_token=_PAD, max_input_chars_per_word=10_000, continuing_subword_prefix="")


def _parts(component: Any) -> Iterator[Mapping[str, Any]]:
    """A component and those that it is made of."""
    if component:
        yield component
        for inner in component.get("pretokenizers", component.get("decoders", ())):
            yield from _parts(inner)


def _pair(merge: Any) -> tuple[str, str]:
    return converted(tuple[str, str], merge.split(" ") if isinstance(merge, str) else merge, "merges")
