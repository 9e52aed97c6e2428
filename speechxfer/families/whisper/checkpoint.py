"""Whisper's decoder as `transformers` keeps it: its weights, its tokenizer, and its usual language and task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import WhisperConfig

from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.errors import CheckpointError, ConfigError
from speechxfer.families.whisper.decoder import WhisperSeq2SeqHead
from speechxfer.families.whisper.tokens import WhisperTokens

_PREFIX, _EMBEDDING, _OUTPUT = "model.decoder.", "model.decoder.embed_tokens.weight", "proj_out.weight"
_TASKS = ("transcribe", "translate")


def load_whisper_head(
    checkpoint: Checkpoint, config: Mapping[str, Any], state: Mapping[str, Tensor], encoder: Encoder
) -> WhisperSeq2SeqHead:
    """The decoder half of a Whisper checkpoint with the tokenizer in its folder, as it was pre-trained.

    Raises:
        CheckpointError: there is no tokenizer, weights are missing, or its output is not its token embedding.
    """
    if not config.get("tie_word_embeddings", True) and not torch.equal(state.get(_OUTPUT, torch.empty(0)), state[_EMBEDDING]):  # fmt: skip  # noqa: E501
        raise CheckpointError(f"{checkpoint.name}: its decoder's output matrix is not its token embedding (tie_word_embeddings), which is not supported")  # fmt: skip  # noqa: E501
    whole = WhisperConfig(**config)
    tokens = WhisperTokens.read(checkpoint, whole.vocab_size)
    language, task = _spoken(checkpoint, config, tokens)
    head = WhisperSeq2SeqHead(
        whole, tokens, language=language, task=task, attend_everything=encoder.fixed_length, is_pretrained=True
    )
    own = {name.removeprefix(_PREFIX): value for name, value in state.items() if name.startswith(_PREFIX)}
    try:
        cast(nn.Module, head.decoder).load_state_dict(own)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise CheckpointError(f"{checkpoint.name}: the decoder's weights do not fit config.json: {detail:.300}") from error  # fmt: skip  # noqa: E501
    return head


def _spoken(checkpoint: Checkpoint, config: Mapping[str, Any], tokens: WhisperTokens) -> tuple[str | None, str]:
    """Language and task that the model is set to; no language is one to be found out.

    They stand in `generation_config.json`; in older models as tokens that are forced to begin with.
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
