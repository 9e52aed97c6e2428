"""How a CTC head of `transformers` spells: which of its outputs stands for which symbol."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechxfer.data.vocabulary import Characters, Phonemes, Pieces, Vocabulary
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.encoders.files import read_json
from speechxfer.errors import CheckpointError
from speechxfer.heads.ctc import tokenizer_json
from speechxfer.heads.tokenizer_files import TokenizerFiles

_VOCABULARY = "vocab.json"
_ROLES = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
#: Tokenizers that have a vocabulary and nothing else: of characters, and of phonemes.
_CHARACTERS, _PHONEMES = "Wav2Vec2CTCTokenizer", "Wav2Vec2PhonemeCTCTokenizer"
_BY_VOCABULARY = (_CHARACTERS, "Wav2Vec2Tokenizer", _PHONEMES)
#: Special tokens that no file names as such: <mask>, [NOISE].
_BRACKETED = re.compile(r"<.+>|\[.+\]", re.DOTALL)
#: The first piece of a word, in a vocabulary that says nothing else of its pieces.
_MARK = "▁"


@dataclass(frozen=True)
class Spelling:
    """What the outputs of a CTC head stand for; special tokens, which no transcript holds, are left out."""

    blank: int
    #: Symbol -> output, in the order of the vocabulary.
    symbols: dict[str, int]
    vocabulary: Vocabulary

    @property
    def outputs(self) -> list[int]:
        """The output of each index of the vocabulary."""
        return [self.blank, *self.symbols.values()]


def read_spelling(checkpoint: Checkpoint, config: Mapping[str, Any], outputs: int) -> Spelling:
    """From a folder with `vocab.json` or `tokenizer.json`, and what else the tokenizer left there.

    Raises:
        CheckpointError: there is no vocabulary, it does not fit the head, or it is of a kind that is not supported.
    """
    files = TokenizerFiles.read(checkpoint)
    pieces = _piece_file(checkpoint, files, config)
    path = checkpoint.file(_VOCABULARY) if pieces is None else pieces.path
    vocabulary = _vocabulary(checkpoint, files) if pieces is None else pieces.tokens
    added = files.added | (pieces.added if pieces else {})
    added = {number: token for number, token in added.items() if number < outputs}  # the head may lack new ones
    tokens = added | {number: token for token, number in vocabulary.items()}
    roles = {role: files.role(role, usual) for role, usual in _ROLES.items()}
    blank = _blank(path, tokens, roles["pad_token"], config.get("pad_token_id"))
    _check_size(path, tokens, outputs, set(roles.values()) - set(tokens.values()))
    special = files.special | set(roles.values()) | (pieces.special if pieces else set())
    special -= {files.role("word_delimiter_token", "|")}
    text = {number: token for number, token in tokens.items() if token not in special and not _BRACKETED.fullmatch(token)}  # fmt: skip  # noqa: E501
    if pieces is not None:
        found, numbers = pieces.pieces(text)
        return Spelling(blank, numbers, found)
    if _class_name(files, config) == _PHONEMES:
        numbers = {token: number for number, token in sorted(text.items())}
        return Spelling(blank, numbers, Phonemes(numbers))
    if any(token.startswith(_MARK) and token != _MARK for token in text.values()):
        numbers = {token.replace(_MARK, " "): number for number, token in sorted(text.items())}
        return Spelling(blank, numbers, Pieces(numbers))
    numbers = _characters(text, files)
    return Spelling(blank, numbers, Characters(numbers))


def tokenizer_files(vocabulary: Vocabulary) -> dict[str, Any] | None:
    """The files of a tokenizer of `transformers` that writes as the vocabulary does, by name.

    None where there is no such tokenizer: "|" as a character is how it spells the space.
    """
    if isinstance(vocabulary, Pieces):
        return tokenizer_json.files(vocabulary)
    symbols, settings = vocabulary.symbols, {"tokenizer_class": _PHONEMES, "do_phonemize": False}
    if isinstance(vocabulary, Characters):
        if "|" in symbols:
            return None
        symbols = tuple("|" if symbol == " " else symbol for symbol in symbols)
        settings = {"tokenizer_class": _CHARACTERS, "word_delimiter_token": "|", "do_lower_case": False}
    numbers = {symbol: number for number, symbol in enumerate(symbols, start=1)}
    blank = {_ROLES["pad_token"]: Vocabulary.BLANK}
    return {_VOCABULARY: blank | numbers, "tokenizer_config.json": settings | _ROLES}


def _class_name(files: TokenizerFiles, config: Mapping[str, Any]) -> str:
    """Of the tokenizer; empty where no file names it."""
    return str(files.settings.get("tokenizer_class") or config.get("tokenizer_class") or "")


def _piece_file(
    checkpoint: Checkpoint, files: TokenizerFiles, config: Mapping[str, Any]
) -> tokenizer_json.PieceFile | None:
    """`tokenizer.json`; None where `vocab.json` counts."""
    path, name = checkpoint.file(_VOCABULARY), _class_name(files, config)
    has_pieces = checkpoint.file(tokenizer_json.NAME).exists()
    if name in _BY_VOCABULARY or not (name or (has_pieces and not path.exists())):
        if not path.exists():
            lacking = _VOCABULARY if name else f"{_VOCABULARY} and {tokenizer_json.NAME}"
            raise CheckpointError(f"{path.parent}: lacks {lacking}, so what its CTC head writes cannot be read; copy its tokenizer, with tokenizer_config.json, from where the tokenizer was saved")  # fmt: skip  # noqa: E501
        return None
    if has_pieces:
        return tokenizer_json.PieceFile.read(checkpoint)
    raise CheckpointError(f"{path.parent}: its CTC head writes by a {name}, but there is no {tokenizer_json.NAME}; save the tokenizer with AutoTokenizer of transformers beside the model")  # fmt: skip  # noqa: E501


def _vocabulary(checkpoint: Checkpoint, files: TokenizerFiles) -> dict[str, int]:
    """Token -> output; of several languages, the one that is opened, or that the tokenizer is set to."""
    path = checkpoint.file(_VOCABULARY)
    vocabulary, language = read_json(path), checkpoint.language_tag or files.settings.get("target_lang")
    if vocabulary and all(isinstance(inner, dict) for inner in vocabulary.values()):
        if len(vocabulary) == 1:
            (language,) = vocabulary
        if language not in vocabulary:
            raise CheckpointError(f"{path}: has the vocabularies of {len(vocabulary)} languages, but tokenizer_config.json says {language!r} (target_lang); wanted one of: {', '.join(sorted(vocabulary)):.120}")  # fmt: skip  # noqa: E501
        vocabulary = vocabulary[language]
    if not vocabulary or not all(isinstance(number, int) for number in vocabulary.values()):
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
    if min(tokens) < 0 or max(tokens) >= outputs:
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
