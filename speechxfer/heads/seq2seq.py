"""Whisper's own decoder, as it was trained: hidden states to text, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor
from transformers import WhisperConfig
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.models.whisper.modeling_whisper import WhisperDecoder

from speechxfer.data.manifest import Utterance
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.errors import CheckpointError, ConfigError
from speechxfer.heads.base import Head


class WhisperSeq2SeqHead(Head):
    """Greedy decoding without timestamps; it cannot be trained or saved yet.

    Args:
        config: the whole model's configuration.
        state: the whole model's weights.
        tokenizer: its tokenizer, special tokens included.
    """

    kind = "seq2seq"

    def __init__(self, config: WhisperConfig, state: dict[str, Tensor], tokenizer: Tokenizer) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.decoder = WhisperDecoder(config)
        prefix = "model.decoder."
        self.decoder.load_state_dict(
            {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        )
        self.max_tokens = config.max_target_positions // 2

    @property
    def is_multilingual(self) -> bool:
        """Whether prompts name a language and a task."""
        return self._token("<|transcribe|>") > self._token("<|translate|>") and self.config.vocab_size >= 51_865

    def targets(self, utterance: Utterance) -> list[int]:
        """Token numbers of the transcript and the end."""
        return [*self.tokenizer.encode(utterance.text or "", add_special_tokens=False).ids, self._end]

    def loss(self, hidden_states: Tensor, num_frames: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        """Not offered: an untouched Whisper is only decoded from."""
        raise ConfigError("head seq2seq cannot be trained by this version; wanted head ctc")

    def describe(self) -> dict[str, Any]:
        """Not offered: an untouched Whisper is opened from its own folder."""
        raise CheckpointError("an untouched Whisper is not saved again; use the folder it came from")

    @torch.inference_mode()
    def decode(self, hidden_states: Tensor, num_frames: Tensor, *, language: str | None = None) -> list[Hypothesis]:
        """[batch, frames, width] -> the greedy transcript of each; all frames are attended to.

        Raises:
            ConfigError: a language was asked for that the model lacks.
        """
        prompt = self._prompt(hidden_states, language)
        cache = EncoderDecoderCache(DynamicCache(config=self.config), DynamicCache(config=self.config))
        tokens, written = prompt, prompt[:, :0]
        finished = torch.zeros(len(prompt), dtype=torch.bool, device=prompt.device)
        total = torch.zeros(len(prompt), device=prompt.device)
        for step in range(self.max_tokens):
            scores = self._scores(tokens, hidden_states, cache, first=step == 0)
            best, chosen = scores.max(dim=-1)
            total += best.masked_fill(finished, 0.0)
            chosen = chosen.masked_fill(finished, self._end)
            written = torch.cat([written, chosen[:, None]], dim=1)
            finished |= chosen == self._end
            if bool(finished.all()):
                break
            tokens = chosen[:, None]
        lengths = (written != self._end).sum(1) + 1
        confidences = (total / lengths).exp().tolist()
        texts = self.tokenizer.decode_batch(written.tolist(), skip_special_tokens=True)
        return [Hypothesis(text.strip(), (), score) for text, score in zip(texts, confidences, strict=True)]

    def _scores(self, tokens: Tensor, hidden_states: Tensor, cache: EncoderDecoderCache, *, first: bool) -> Tensor:
        """Log-probabilities [batch, vocabulary] of the next token, unwanted ones at minus infinity."""
        output = self.decoder(
            input_ids=tokens, encoder_hidden_states=hidden_states, past_key_values=cache, use_cache=True
        )
        logits = F.linear(output.last_hidden_state[:, -1], self.decoder.embed_tokens.weight).float()
        unwanted = list(self.config.suppress_tokens or [])
        if first:
            unwanted += list(self.config.begin_suppress_tokens or [])
        logits[:, [*unwanted, *range(self._token("<|startoftranscript|>"), logits.shape[1])]] = -torch.inf
        return F.log_softmax(logits, dim=-1)

    def _prompt(self, hidden_states: Tensor, language: str | None) -> Tensor:
        start, device = self._token("<|startoftranscript|>"), hidden_states.device
        plain = [start, self._token("<|notimestamps|>")]
        if not self.is_multilingual:
            if language not in (None, "en"):
                raise ConfigError(f"language {language!r}: this Whisper knows English only; leave --language out")
            return torch.tensor([plain], device=device).expand(len(hidden_states), -1)
        spoken = self._language(hidden_states, language)
        task = torch.tensor([self._token("<|transcribe|>"), plain[1]], device=device)
        first = torch.full_like(spoken, start)
        return torch.cat([first, spoken, task.expand(len(spoken), -1)], dim=1)

    def _language(self, hidden_states: Tensor, language: str | None) -> Tensor:
        """Token of the language of each row [batch, 1]: the one asked for, or the most likely one."""
        start, device = self._token("<|startoftranscript|>"), hidden_states.device
        if language is not None:
            number = self.tokenizer.token_to_id(f"<|{language}|>")
            if number is None:
                raise ConfigError(f"language {language!r} is not one this Whisper knows; wanted a code such as 'it'")
            return torch.full((len(hidden_states), 1), number, device=device)
        tokens = torch.full((len(hidden_states), 1), start, device=device)
        output = self.decoder(input_ids=tokens, encoder_hidden_states=hidden_states)
        logits = F.linear(output.last_hidden_state[:, -1], self.decoder.embed_tokens.weight)
        first, last = start + 1, self._token("<|translate|>")
        return logits[:, first:last].argmax(dim=-1, keepdim=True) + first

    @property
    def _end(self) -> int:
        return self._token("<|endoftext|>")

    def _token(self, name: str) -> int:
        number = self.tokenizer.token_to_id(name)
        assert isinstance(number, int), f"a Whisper tokenizer without {name}"
        return number


def load_whisper_head(folder: Path, config: dict[str, Any], state: dict[str, Tensor]) -> WhisperSeq2SeqHead:
    """The decoder half of a Whisper checkpoint with the tokenizer in its folder.

    Raises:
        CheckpointError: there is no tokenizer.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise CheckpointError(f"{folder}: lacks tokenizer.json, so its decoder's output cannot be read")
    return WhisperSeq2SeqHead(WhisperConfig(**config), state, Tokenizer.from_file(str(path)))
