"""The files of a tokenizer: its vocabulary as a whole, which tokens are special, and which were added later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.encoders.files import check_fetched
from speechxfer.errors import CheckpointError

_EXTRA = ("additional_special_tokens", "extra_special_tokens")


@dataclass(frozen=True)
class TokenizerFiles:
    """`tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`, as far as they are there."""

    settings: dict[str, Any]
    #: Tokens that the vocabulary was extended by, by number.
    added: dict[int, str]
    #: Tokens that are not text.
    special: frozenset[str]

    @classmethod
    def read(cls, checkpoint: Checkpoint) -> TokenizerFiles:
        """From a model's folder.

        Raises:
            CheckpointError: a file is damaged.
        """
        settings: dict[str, Any] = {}
        for name in ("special_tokens_map.json", "tokenizer_config.json"):
            settings |= {key: value for key, value in checkpoint.settings(name).items() if value is not None}
        entries = {int(number): entry for number, entry in settings.get("added_tokens_decoder", {}).items()}
        added = {number: name for name, number in checkpoint.settings("added_tokens.json").items()}
        added |= {number: _content(entry) for number, entry in entries.items()}
        special = {_content(entry) for entry in entries.values() if isinstance(entry, dict) and entry.get("special")}
        roles = {role: value for role, value in settings.items() if role.endswith("_token")}
        special |= {_content(value) for value in roles.values() if isinstance(value, str | dict)}
        for extra in (settings.get(name, []) for name in _EXTRA):
            special |= {_content(value) for value in (extra.values() if isinstance(extra, dict) else extra)}
        return cls(settings, added, frozenset(special))

    def role(self, name: str, usual: str) -> str:
        """The token of a role such as `pad_token`."""
        return _content(self.settings.get(name, usual))


def _content(token: Any) -> str:
    """A token's text; some files describe it by more than that."""
    return str(token["content"] if isinstance(token, dict) else token)


def read_tokenizer(checkpoint: Checkpoint) -> Tokenizer:
    """The tokenizer of a model's folder, `tokenizer.json`.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    path = checkpoint.file("tokenizer.json")
    if not path.exists():
        raise CheckpointError(f"{path.parent}: lacks tokenizer.json, so its decoder's output cannot be read; copy it from where the tokenizer was saved")  # fmt: skip  # noqa: E501
    check_fetched(path)
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # as `tokenizers` says that something is not what it expects
        raise CheckpointError(f"{path}: is not a tokenizer ({reason_of(error)}); copy the model folder again") from error  # fmt: skip  # noqa: E501


def reason_of(error: Exception) -> str:
    """What a library says of a file, in a line."""
    return f"{' '.join(str(error).split()):.120}"
