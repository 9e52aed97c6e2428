"""Moonshine's own decoder; what it has in common with those of other families is in `heads/seq2seq/`.

The modules are those of `transformers`; they are called layer by layer, so that what is padded is never attended to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.models.moonshine.modeling_moonshine import MoonshineDecoder, MoonshineDecoderLayer

from speechxfer.config import FinetuneConfig
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.errors import ConfigError
from speechxfer.families.moonshine.encoder import MoonshineEncoder
from speechxfer.families.moonshine.tokens import MoonshineTokens
from speechxfer.heads.base import Interchange
from speechxfer.heads.seq2seq.head import Seq2SeqHead
from speechxfer.heads.seq2seq.settings import Seq2SeqConfig


class MoonshineSeq2SeqHead(Seq2SeqHead):
    """The decoder half of Moonshine with its tokenizer; it knows one language and writes no times."""

    attention_matrices = ("q_proj", "k_proj", "v_proj", "o_proj")
    feed_forward_matrices = ("fc1", "fc2")
    title = "Moonshine's decoder"
    frame_rate = MoonshineEncoder.frame_rate
    #: What its authors allow for languages other than English; for English it is half as many.
    tokens_a_second = 13
    positions_setting = "max_position_embeddings"
    tokens: MoonshineTokens

    # The decoder

    def new_decoder(self) -> nn.Module:
        """As the original begins with it."""
        decoder = MoonshineDecoder(self.config)
        for layer in decoder.layers:
            layer.__class__ = DecoderLayer
            layer.self_attn.attention_dropout = layer.encoder_attn.attention_dropout = 0.0
        return cast(nn.Module, decoder)

    def new_cache(self) -> EncoderDecoderCache:
        """Of tokens and of what is attended to."""
        return EncoderDecoderCache(DynamicCache(config=self.config), DynamicCache(config=self.config))

    def run(
        self, tokens: Tensor, hidden_states: Tensor, mask: Tensor | None, cache: EncoderDecoderCache | None
    ) -> Tensor:
        """Tokens [batch, count] after those in the cache -> what stands before the vocabulary [batch, count, width]."""
        output, rotation = self._embedded(tokens, cache.get_seq_length() if cache is not None else 0)
        for layer in self.decoder.layers:
            output = layer(output, rotation, hidden_states, mask, cache)
        return cast(Tensor, self.decoder.norm(output))

    def asked(self, tokens: Tensor, hidden_states: Tensor, mask: Tensor | None) -> Iterator[Tensor]:
        """What each layer asks its cross-attention with [batch, count, width], layer by layer."""
        output, rotation = self._embedded(tokens, 0)
        for layer in self.decoder.layers:
            written, _ = layer.self_attn(layer.input_layernorm(output), rotation, None, None)
            yield layer.post_attention_layernorm(output + written)
            output = layer(output, rotation, hidden_states, mask, None)

    def _embedded(self, tokens: Tensor, past: int) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """With the rotation at their positions, of which `past` are taken."""
        output = self.decoder.embed_tokens(tokens)
        positions = torch.arange(past, past + tokens.shape[1], device=tokens.device)[None]
        return output, self.decoder.rotary_emb(output, positions)

    def _parts(self) -> tuple[tuple[nn.Module, ...], Sequence[nn.Module], nn.Module]:
        """Tokens, the layers, the final norm."""
        return (self.decoder.embed_tokens,), self.decoder.layers, self.decoder.norm

    def set_dropout(self, probability: float) -> None:
        """On what each layer adds; not inside attention, whose fast kernels have none on a CPU."""
        for layer in self.decoder.layers:
            layer.dropout = probability

    def prompt(self) -> list[int]:
        """The token that starts a transcript."""
        return [self.tokens.start]

    # Learning

    def prepare(self, config: FinetuneConfig, normalizer: TextNormalizer) -> None:
        """Set it to what a run asks for.

        Raises:
            ConfigError: translation is asked for.
        """
        wanted = config.group_of(Seq2SeqConfig)
        if wanted.task == "translate":
            raise ConfigError(f"seq2seq.task is 'translate', but {config.model} only writes what is spoken; leave it out")  # fmt: skip  # noqa: E501
        self.normalizer, self.is_pretrained = normalizer, False
        self.label_smoothing, self.beams = wanted.label_smoothing, wanted.beams

    def unused_settings(self, config: FinetuneConfig, train: Manifest) -> Iterator[tuple[str, str]]:
        """Also timestamps and the language of what is retained."""
        yield "seq2seq.timestamp_ratio", f"{self.title} writes no times"
        yield "retention.language", f"{self.title} has no choice of languages"
        yield from super().unused_settings(config, train)

    # Folders

    @classmethod
    def built(cls, checkpoint: Checkpoint, encoder: Encoder, **options: Any) -> Self:
        """With random weights.

        Raises:
            CheckpointError: there is no tokenizer, or one that does not fit.
        """
        return cls(encoder.config, MoonshineTokens.read(checkpoint, encoder.config), **options)

    def interchange(self) -> Interchange:
        """The decoder, the tokenizer's files, and what `generate` has to know."""
        numbers = {"bos_token_id": self.config.bos_token_id, "eos_token_id": self.tokens.end}
        numbers |= {"pad_token_id": self.tokens.end, "decoder_start_token_id": self.tokens.start}
        generation = {**numbers, "max_length": self.max_positions}
        files = {"generation_config.json": generation, "tokenizer_config.json": self.tokens.settings(), **self.files()}
        return Interchange({"decoder.": "model.decoder."}, {**numbers, "tie_word_embeddings": True}, files)


class DecoderLayer(MoonshineDecoderLayer):  # type: ignore[misc]
    """A layer of the original with dropout, which it has none of, on what it adds."""

    dropout = 0.0

    def forward(
        self, output: Tensor, rotation: tuple[Tensor, Tensor], hidden_states: Tensor, mask: Tensor | None,
        cache: EncoderDecoderCache | None,
    ) -> Tensor:  # fmt: skip
        """Of tokens [batch, count, width], with the rotation at each position, and what is attended to."""
        written, _ = self.self_attn(self.input_layernorm(output), rotation, None, cache)
        output = output + F.dropout(written, self.dropout, self.training)
        attended, _ = self.encoder_attn(self.post_attention_layernorm(output), None, mask, cache, hidden_states)
        output = output + F.dropout(attended, self.dropout, self.training)
        return output + F.dropout(self.mlp(self.final_layernorm(output)), self.dropout, self.training)
