"""How a CTC head of `transformers` spells: which of its outputs stands for which character."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.encoders.files import read_json
from speechxfer.errors import CheckpointError
from speechxfer.heads.tokenizer_files import TokenizerFiles

_VOCABULARY = "vocab.json"
_ROLES = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
#: Tokenizers that spell in characters.
_SPELLING = ("Wav2Vec2CTCTokenizer", "Wav2Vec2Tokenizer")
#: Special tokens that no file names as such: <mask>, [NOISE].
_BRACKETED = re.compile(r"<.+>|\[.+\]", re.DOTALL)


@dataclass(frozen=True)
class Spelling:
    """What the outputs of a CTC head stand for; special tokens, which no transcript holds, are left out."""

    blank: int
    #: Character -> output.
    symbols: dict[str, int]


def read_spelling(checkpoint: Checkpoint, config: Mapping[str, Any], outputs: int) -> Spelling:
    """From a folder with `vocab.json` and what else the tokenizer left there.

    Raises:
        CheckpointError: there is no vocabulary, it does not fit the head, or it is not one of characters.
    """
    files, path = TokenizerFiles.read(checkpoint), checkpoint.file(_VOCABULARY)
    kind = str(files.settings.get("tokenizer_class") or config.get("tokenizer_class") or _SPELLING[0])
    if kind not in _SPELLING:
        raise CheckpointError(f"{path.parent}: its CTC head writes by a {kind}; wanted one over characters ({_SPELLING[0]})")  # fmt: skip  # noqa: E501
    if not path.exists():
        raise CheckpointError(f"{path.parent}: lacks {_VOCABULARY}, so what its CTC head writes cannot be read; copy it and tokenizer_config.json from where the tokenizer was saved")  # fmt: skip  # noqa: E501
    added = {number: token for number, token in files.added.items() if number < outputs}  # the head may lack new ones
    tokens = added | {number: token for token, number in _vocabulary(checkpoint, files).items()}
    roles = {role: files.role(role, usual) for role, usual in _ROLES.items()}
    blank = _blank(path, tokens, roles["pad_token"], config.get("pad_token_id"))
    _check_size(path, tokens, outputs, set(roles.values()) - set(tokens.values()))
    special = (files.special | set(roles.values())) - {files.role("word_delimiter_token", "|")}
    text = {number: token for number, token in tokens.items() if token not in special and not _BRACKETED.fullmatch(token)}  # fmt: skip  # noqa: E501
    symbols = _characters(text, files)
    if long := [symbol for symbol in symbols if len(symbol) != 1]:
        raise CheckpointError(f"{path}: {long[0]!r} is more than a character; a CTC head over phonemes or pieces of words is not supported")  # fmt: skip  # noqa: E501
    return Spelling(blank, symbols)


def _vocabulary(checkpoint: Checkpoint, files: TokenizerFiles) -> dict[str, int]:
    """Token -> output; of several languages, the one that the tokenizer is set to."""
    path = checkpoint.file(_VOCABULARY)
    vocabulary, language = read_json(path), files.settings.get("target_lang")
    if vocabulary and all(isinstance(inner, dict) for inner in vocabulary.values()):
        if len(vocabulary) == 1:
            (language,) = vocabulary
        if language not in vocabulary:
            raise CheckpointError(f"{path}: has the vocabularies of {len(vocabulary)} languages, but tokenizer_config.json says {language!r} (target_lang); wanted one of: {', '.join(sorted(vocabulary)):.120}")  # fmt: skip  # noqa: E501
        vocabulary = vocabulary[language]
    if not all(isinstance(number, int) for number in vocabulary.values()):
        raise CheckpointError(f"{path}: holds no numbers of tokens; wanted TOKEN: NUMBER")
    return vocabulary


def _blank(path: Path, tokens: Mapping[int, str], token: str, number: Any) -> int:
    """The output of the blank, on which the tokenizer and the model have to agree."""
    numbers = [known for known, name in tokens.items() if name == token]
    if numbers and number in (None, numbers[0]):
        return numbers[0]
    seen = f"is number {numbers[0]}" if numbers else "is missing"
    raise CheckpointError(f"{path}: {token!r} {seen}, but config.json says that the blank (pad_token_id) is {number}; they have to agree")  # fmt: skip  # noqa: E501


def _check_size(path: Path, tokens: Mapping[int, str], outputs: int, implied: set[str]) -> None:
    """Look whether every output has a token. Special tokens that no file names come after those that one does."""
    if max(tokens) >= outputs:
        raise CheckpointError(f"{path}: spells {max(tokens) + 1} numbers, but the head has {outputs} outputs; one of them is of another model")  # fmt: skip  # noqa: E501
    unnamed = set(range(outputs)) - tokens.keys() - set(range(len(tokens), len(tokens) + len(implied)))
    if unnamed:
        raise CheckpointError(f"{path}: spells {len(tokens)} of the head's {outputs} outputs, but not number {min(unnamed)}; one of them is of another model")  # fmt: skip  # noqa: E501


def _characters(text: Mapping[int, str], files: TokenizerFiles) -> dict[str, int]:
    """What each token is written as. Of several that are written alike, only one is ever learned, and stands here."""
    delimiter = files.role("word_delimiter_token", "|")
    space = str(files.settings.get("replace_word_delimiter_char", " "))
    lower = bool(files.settings.get("do_lower_case"))  # texts are learned in upper case and written in lower
    learned = {number: token for number, token in text.items() if token != space and not (lower and token != token.upper())}  # fmt: skip  # noqa: E501
    symbols: dict[str, int] = {}
    for number, token in sorted(learned.items()) + sorted(text.items()):
        written = space if token == delimiter else token
        symbols.setdefault(written.lower() if lower else written, number)
    return dict(sorted(symbols.items(), key=lambda item: item[1]))
