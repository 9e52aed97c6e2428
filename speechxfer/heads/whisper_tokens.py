"""Whisper's tokens: what spells text, what the special ones are called, and the prompts they make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from speechxfer.errors import CheckpointError, ConfigError

#: The grid of time stamps, in seconds, and the last of them.
_TICK_S, _LAST_S = 0.02, 30.0
#: Tokens of context that a prompt may hold; as many as Whisper was trained with.
_MOST_CONTEXT = 223
#: A vocabulary of at least so many tokens has the languages and tasks in use.
_MULTILINGUAL = 51_865


class WhisperTokens:
    """A Whisper's tokenizer, special tokens included, and what is known of it.

    Args:
        tokenizer: as the model's `tokenizer.json` has it.
        vocab_size: outputs of the model, time stamps included.
    """

    def __init__(self, tokenizer: Tokenizer, vocab_size: int) -> None:
        self.tokenizer = tokenizer
        self.vocab_size = vocab_size
        self.end = self.number("<|endoftext|>")
        self.start = self.number("<|startoftranscript|>")
        #: Asks for text without times.
        self.plain = self.number("<|notimestamps|>")
        self.before = self.number("<|startofprev|>")
        #: Says that nothing is said; its name has changed over time.
        self.no_speech: int | None = tokenizer.token_to_id("<|nospeech|>") or tokenizer.token_to_id("<|nocaptions|>")

    @classmethod
    def read(cls, folder: Path, vocab_size: int) -> WhisperTokens:
        """From a model's folder.

        Raises:
            CheckpointError: there is no tokenizer.
        """
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise CheckpointError(f"{folder}: lacks tokenizer.json, so its decoder's output cannot be read")
        return cls(Tokenizer.from_file(str(path)), vocab_size)

    @property
    def is_multilingual(self) -> bool:
        """Whether prompts name a language and a task."""
        return self.number("<|transcribe|>") > self.number("<|translate|>") and self.vocab_size >= _MULTILINGUAL

    @property
    def languages(self) -> range:
        """The tokens that stand for languages."""
        return range(self.start + 1, self.number("<|translate|>"))

    @property
    def controls(self) -> list[str]:
        """The names of the special tokens before the time stamps."""
        return [str(self.tokenizer.id_to_token(token)) for token in range(self.start, self.plain + 1)]

    @property
    def special(self) -> range:
        """Tokens from the start of a transcript on, time stamps included; none of them is text."""
        return range(self.start, self.vocab_size)

    def number(self, name: str) -> int:
        """The token of this name, which every Whisper has."""
        number = self.tokenizer.token_to_id(name)
        assert isinstance(number, int), f"a Whisper tokenizer without {name}"
        return number

    def spell(self, text: str) -> list[int]:
        """Text to tokens, as Whisper writes it: with a space before it."""
        return self.tokenizer.encode(f" {text}", add_special_tokens=False).ids if text else []

    def text(self, tokens: Sequence[int]) -> str:
        """Tokens to text, special ones left out."""
        return self.tokenizer.decode(list(tokens), skip_special_tokens=True).strip()

    def stamp(self, seconds: float) -> int:
        """The time stamp nearest to a time."""
        return self.plain + 1 + round(min(seconds, _LAST_S) / _TICK_S)

    def prompt(self, language: str | None, task: str, context: str, *, plain: bool) -> list[int]:
        """What is given before a transcript: context words, language and task if there is a choice, whether times are
        wanted (not `plain`).
        """
        words = self.spell(context)[-_MOST_CONTEXT:]
        before = [self.before, *words] if words else []
        spoken = [self.number(f"<|{language}|>"), self.number(f"<|{task}|>")] if self.is_multilingual else []
        return [*before, self.start, *spoken, *([self.plain] if plain else [])]

    def knows(self, language: str) -> bool:
        """Whether there is a token for a language, named by its code."""
        return self.tokenizer.token_to_id(f"<|{language}|>") in self.languages

    def check_language(self, language: str | None) -> None:
        """Whether the model knows a language; None is always fine.

        Raises:
            ConfigError: it does not.
        """
        if language is None:
            return
        if not self.is_multilingual:
            if language != "en":
                raise ConfigError(f"language {language!r}: this Whisper knows English only; leave --language out")
        elif not self.knows(language):
            raise ConfigError(f"language {language!r} is not one this Whisper knows; wanted a code such as 'it'")
