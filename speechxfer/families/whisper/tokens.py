"""Whisper's tokens: what spells text, what the special ones are called, and the prompts they make."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.encoders.files import check_fetched, read_json
from speechxfer.errors import CheckpointError, ConfigError
from speechxfer.heads.seq2seq.tokens import DecoderTokens
from speechxfer.heads.tokenizer_files import TokenizerFiles, read_tokenizer, reason_of
from speechxfer.languages import language_code, similar_language

#: The grid of time stamps, in seconds, and the last of them.
_TICK_S, _LAST_S = 0.02, 30.0
#: A vocabulary of at least so many tokens has the languages and tasks in use, unless it is an English one that was
#: extended: there, the end of text has this number.
_MULTILINGUAL, _ENGLISH_END = 51_865, 50_256
#: Names of tokens that are not text.
_CONTROL = re.compile(r"<\|.*\|>")


class WhisperTokens(DecoderTokens):
    """A Whisper's tokenizer, special tokens included, and what is known of it.

    Args:
        tokenizer: as the model's `tokenizer.json` has it.
        vocab_size: outputs of the model, time stamps and added tokens included.
        generation: the model's `generation_config.json`, as far as it is there.
    """

    def __init__(self, tokenizer: Tokenizer, vocab_size: int, generation: Mapping[str, Any] | None = None) -> None:
        super().__init__(tokenizer, vocab_size)
        self.end = self.number("<|endoftext|>")
        self.start = self.number("<|startoftranscript|>")
        #: Asks for text without times.
        self.plain = self.number("<|notimestamps|>")
        self.before = self.number("<|startofprev|>")
        #: Says that nothing is said; its name has changed over time.
        self.no_speech: int | None = tokenizer.token_to_id("<|nospeech|>") or tokenizer.token_to_id("<|nocaptions|>")
        #: The tokens that stand for languages, by code.
        self.languages = self._languages((generation or {}).get("lang_to_id"))
        #: Whether prompts name a language and a task.
        self.is_multilingual = self._chooses((generation or {}).get("is_multilingual"))
        #: Tokens that are never written: from the start of a transcript to the last time stamp, unless the tokenizer
        #: has text in their place, and those above that the tokenizer does not have.
        self.special = [token for token in range(self.start, vocab_size) if not self._is_text(token)]

    @classmethod
    def read(cls, checkpoint: Checkpoint, vocab_size: int) -> WhisperTokens:
        """From a model's folder: `tokenizer.json`, or `vocab.json`, `merges.txt` and what was added to them.

        Raises:
            CheckpointError: there is no tokenizer, or one that is damaged or not Whisper's.
        """
        in_parts = checkpoint.file("vocab.json").exists() and not checkpoint.file("tokenizer.json").exists()
        tokenizer = _from_parts(checkpoint) if in_parts else read_tokenizer(checkpoint)
        return cls(tokenizer, vocab_size, checkpoint.settings("generation_config.json"))

    def _languages(self, named: Any) -> dict[str, int]:
        if isinstance(named, dict):
            return {str(name).removeprefix("<|").removesuffix("|>"): int(token) for name, token in named.items()}
        tokens = range(self.start + 1, self.number("<|translate|>"))
        return {str(self.tokenizer.id_to_token(token))[2:-2]: token for token in tokens}

    def _chooses(self, known: Any) -> bool:
        if isinstance(known, bool):
            return known
        is_large = self.vocab_size >= _MULTILINGUAL and self.end != _ENGLISH_END
        return is_large and self.number("<|transcribe|>") > self.number("<|translate|>")

    def _is_text(self, token: int) -> bool:
        name = self.tokenizer.id_to_token(token)
        return name is not None and not _CONTROL.fullmatch(name)

    @property
    def controls(self) -> list[str]:
        """The names of the special tokens before the time stamps."""
        return [str(self.tokenizer.id_to_token(token)) for token in range(self.start, self.plain + 1)]

    def number(self, name: str) -> int:
        """The token of this name, which every Whisper has.

        Raises:
            CheckpointError: this one does not.
        """
        number = self.tokenizer.token_to_id(name)
        if number is None:
            raise CheckpointError(f"the tokenizer lacks {name}, so it is not that of a Whisper; wanted the one that the model was trained with")  # fmt: skip  # noqa: E501
        return int(number)

    def spell(self, text: str) -> list[int]:
        """Text to tokens, as Whisper writes it: with a space before it."""
        return super().spell(f" {text}" if text else "")

    def stamp(self, seconds: float) -> int:
        """The time stamp nearest to a time."""
        return self.plain + 1 + round(min(seconds, _LAST_S) / _TICK_S)

    def prompt(self, language: str | None, task: str, context: str, *, plain: bool, max_context: int) -> list[int]:
        """What is given before a transcript: context words, language and task if there is a choice, whether times are
        wanted (not `plain`).

        Of a context longer than `max_context` tokens the end is taken.
        """
        words = self.spell(context)[-max_context:]
        before = [self.before, *words] if words else []
        spoken = [self._spoken(language), self.number(f"<|{task}|>")] if self.is_multilingual else []
        return [*before, self.start, *spoken, *([self.plain] if plain else [])]

    def _spoken(self, language: str | None) -> int:
        """The token of a language; of any, where it is still to be found out."""
        return self.languages[language] if language else min(self.languages.values())

    def known_language(self, name: str) -> str | None:
        """The code of a language that the model has a token for, from its code or English name; None if it has none."""
        plain = name.strip().removeprefix("<|").removesuffix("|>")
        code = plain if plain in self.languages else language_code(name)
        return code if code in self.languages else None

    def language(self, name: str | None) -> str | None:
        """The code of a language that was asked for by its code or English name; None stands for none.

        Raises:
            ConfigError: the model does not know it.
        """
        if name is None:
            return None
        if not self.is_multilingual:
            if language_code(name) == "en":
                return "en"
            raise ConfigError(f"language {name!r}: this Whisper knows English only; leave it out")
        if code := self.known_language(name):
            return code
        near = similar_language(name)
        hint = f"did you mean {near}?" if near else "wanted a code or an English name, such as 'it' or 'Italian'"
        raise ConfigError(f"language {name!r} is not one this Whisper knows; {hint}")


def _from_parts(checkpoint: Checkpoint) -> Tokenizer:
    """The byte-level tokenizer of `vocab.json`, `merges.txt` and the tokens that were added to them.

    Raises:
        CheckpointError: one of them is missing or damaged.
    """
    vocabulary, path = read_json(checkpoint.file("vocab.json")), checkpoint.file("merges.txt")
    check_fetched(path)
    files = TokenizerFiles.read(checkpoint)
    added = {name: number for number, name in sorted(files.added.items())}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        merges = [tuple(line.split()) for line in lines if line and not line.startswith("#version")]
        made = Tokenizer(BPE(vocabulary | added, merges))  # type: ignore[arg-type]
    except Exception as error:  # as `tokenizers` says that something is not what it expects
        raise CheckpointError(f"{path}: does not fit vocab.json ({reason_of(error)}); copy the model folder again") from error  # fmt: skip  # noqa: E501
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = {name for name in vocabulary | added if name in files.special or _CONTROL.fullmatch(name)}
    named = sorted(special | added.keys(), key=(vocabulary | added).__getitem__)
    made.add_tokens([AddedToken(name, special=name in special and not _is_stamp(name), normalized=False) for name in named])  # fmt: skip  # noqa: E501
    return made


def _is_stamp(name: str) -> bool:
    return re.fullmatch(r"<\|\d+\.\d+\|>", name) is not None


def fraction_of(name: str) -> float:
    """A number in [0, 1) that is always the same for a name, as a random one would be."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big") / 2**48
