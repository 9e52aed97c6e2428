"""The usual language and task of a Whisper, as its folder says them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.errors import CheckpointError, ConfigError
from speechxfer.families.whisper.tokens import WhisperTokens

_TASKS = ("transcribe", "translate")


def spoken(checkpoint: Checkpoint, config: Mapping[str, Any], tokens: WhisperTokens) -> tuple[str | None, str]:
    """Language and task that the model is set to; no language is one to be found out.

    They stand in `generation_config.json`; in older models as tokens that are forced to begin with.

    Raises:
        CheckpointError: a language that the model lacks.
    """
    generation = checkpoint.settings("generation_config.json")
    language, task = generation.get("language"), generation.get("task")
    if not tokens.is_multilingual:
        return None, _TASKS[0]
    if language is None and task is None:
        forced = generation.get("forced_decoder_ids") or config.get("forced_decoder_ids") or []
        numbers = {pair[-1] for pair in forced if isinstance(pair, list)}
        language = next((code for code, token in tokens.languages.items() if token in numbers), None)
        task = next((name for name in _TASKS if tokens.number(f"<|{name}|>") in numbers), None)
    try:
        return tokens.language(None if language is None else str(language)), task if task in _TASKS else _TASKS[0]
    except ConfigError as error:
        raise CheckpointError(f"{checkpoint.file('generation_config.json')}: {error}") from error
