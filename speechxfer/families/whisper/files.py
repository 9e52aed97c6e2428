"""Files that `transformers` wants beside a Whisper's weights: its tokenizer, and what `generate` has to know."""

from __future__ import annotations

from typing import Any

from transformers import WhisperConfig

from speechxfer.families.whisper.tokens import WhisperTokens


def generation_config(
    config: WhisperConfig, tokens: WhisperTokens, *, language: str | None, task: str, writes_nothing: bool
) -> dict[str, Any]:
    """The content of `generation_config.json`.

    Args:
        config: the whole model's.
        tokens: its tokenizer.
        language: what is spoken; of a multilingual model only.
        task: "transcribe" or "translate", of such a model.
        writes_nothing: whether the end may be the first token, so that nothing is written where nothing is said.
    """
    known = ("suppress_tokens", "begin_suppress_tokens")
    generation: dict[str, Any] = {name: list(getattr(config, name) or []) for name in known}
    generation |= {
        **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), tokens.end),
        "decoder_start_token_id": tokens.start, "prev_sot_token_id": tokens.before,
        "no_timestamps_token_id": tokens.plain, "max_length": config.max_target_positions,
        "is_multilingual": tokens.is_multilingual, "return_timestamps": False,
    }  # fmt: skip
    if writes_nothing:
        first = generation["begin_suppress_tokens"]
        generation["begin_suppress_tokens"] = [token for token in first if token != tokens.end]
    # Without them neither `transformers` nor faster-whisper aligns words. distil-whisper names those of the model that
    # it was made from, which has more layers.
    named_heads = getattr(config, "alignment_heads", None) or []
    if heads := [[layer, head] for layer, head in named_heads if layer < config.decoder_layers]:
        generation["alignment_heads"] = heads
    if tokens.is_multilingual:
        named = {f"<|{code}|>": token for code, token in tokens.languages.items()}
        tasks = {name: tokens.number(f"<|{name}|>") for name in ("transcribe", "translate")}
        generation |= {"lang_to_id": named, "task_to_id": tasks, "task": task}
        generation |= {"language": language} if language else {}
    return generation


def tokenizer_settings(tokens: WhisperTokens) -> dict[str, Any]:
    """The content of `tokenizer_config.json`."""
    end = "<|endoftext|>"
    return {
        "tokenizer_class": "WhisperTokenizer", "model_max_length": 1024,
        **dict.fromkeys(("unk_token", "bos_token", "eos_token", "pad_token"), end),
        # In this order: `transformers` takes the token after the last of them for the time 0.
        "additional_special_tokens": tokens.controls,
    }  # fmt: skip
