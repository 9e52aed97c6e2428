"""A Whisper with its own decoder as two graphs, the form that runtimes without torch have in common.

The first takes a spectrogram to what all tokens attend to: keys and values of each layer's cross-attention. The second
takes some tokens to the scores of the next one. Tokens that are never written have no chance in the scores, for not
every runtime knows which these are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechxfer.encoders.log_mel import HOP
from speechxfer.export.decoder import decoder_of, encoder_of
from speechxfer.export.onnx.graph import write_from_waveforms, write_module
from speechxfer.model import SpeechModel

_NEVER = -1e9


class _Source(nn.Module):
    """What the encoder takes, and lengths -> keys, values [layers, batch, frames, width], frames [batch]."""

    def __init__(self, model: SpeechModel) -> None:
        super().__init__()
        self.encoder, self.layers = encoder_of(model), decoder_of(model).decoder.layers
        self.attends_everything = decoder_of(model).attend_everything

    def forward(self, inputs: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden_states, num_frames = self.encoder(inputs, num_samples)
        keys = torch.stack([layer.encoder_attn.k_proj(hidden_states) for layer in self.layers])
        values = torch.stack([layer.encoder_attn.v_proj(hidden_states) for layer in self.layers])
        return keys, values, torch.full_like(num_frames, keys.shape[2]) if self.attends_everything else num_frames


class _SourceOfSpectrogram(_Source):
    """The same from a spectrogram of 30 s [batch, mel bins, steps], all of which is attended to."""

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        return super().forward(features, torch.full_like(features[:, 0, 0], features.shape[2] * HOP, dtype=torch.long))


class _Decoder(nn.Module):
    """Tokens [batch, count], keys and values of those before and of what they attend to -> scores, keys, values."""

    def __init__(self, model: SpeechModel) -> None:
        super().__init__()
        head = decoder_of(model)
        self.decoder, self.heads = head.decoder, head.config.decoder_attention_heads
        scores = torch.zeros(3, head.config.vocab_size)
        scores[0, head.unwanted()] = scores[1, head.unwanted_first()] = _NEVER
        if head.tokens.is_multilingual:
            known = [head.tokens.languages[head.language]] if head.language else list(head.tokens.languages.values())
            scores[2] = _NEVER
            scores[2, known] = 0.0
        #: Added to scores after other tokens, after a prompt, and where the language is asked for [3, tokens].
        self.added: Tensor
        self.register_buffer("added", scores)

    def forward(
        self, tokens: Tensor, past_keys: Tensor, past_values: Tensor, source_keys: Tensor, source_values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Keys and values are [layers, batch, positions, width]."""
        before, count = past_keys.shape[2], tokens.shape[1]
        places = torch.arange(before, before + count)
        output = self.decoder.embed_tokens(tokens) + self.decoder.embed_positions.weight[before : before + count]
        mask = torch.where(torch.arange(before + count) > places[:, None], _NEVER, 0.0)
        keys, values = [], []
        for layer, *kept in zip(self.decoder.layers, past_keys, past_values, source_keys, source_values, strict=True):
            normed = layer.self_attn_layer_norm(output)
            keys.append(torch.cat([kept[0], layer.self_attn.k_proj(normed)], dim=1))
            values.append(torch.cat([kept[1], layer.self_attn.v_proj(normed)], dim=1))
            output = output + self._attended(layer.self_attn, normed, keys[-1], values[-1], mask)
            normed = layer.encoder_attn_layer_norm(output)
            output = output + self._attended(layer.encoder_attn, normed, kept[2], kept[3], None)
            output = output + layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(output))))
        last = self.decoder.layer_norm(output[:, -1:])
        begins, alone = (places[:1] == 0).long(), (places[-1:] == 0).long()
        added = self.added.index_select(0, begins + alone)
        return last @ self.decoder.embed_tokens.weight.T + added, torch.stack(keys), torch.stack(values)

    def _attended(self, module: Any, asked: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        query, key, value = (
            one.unflatten(-1, (self.heads, -1)).transpose(1, 2) for one in (module.q_proj(asked), keys, values)
        )
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return cast(Tensor, module.out_proj(found.transpose(1, 2).flatten(2)))


def write_source(model: SpeechModel, path: Path) -> None:
    """Write the first graph, from `waveforms` and `num_samples` to `keys`, `values` and `num_frames`."""
    names = (["waveforms", "num_samples"], ["keys", "values", "num_frames"])
    write_from_waveforms(_Source(model), model.encoder, path, names=names, title="a Whisper encoder")


def write_source_of_spectrogram(model: SpeechModel, path: Path) -> None:
    """Write the first graph, from `features` of 30 s to `keys`, `values` and `num_frames`."""
    config = decoder_of(model).config
    features = torch.randn(2, config.num_mel_bins, 2 * config.max_source_positions)
    vars(encoder_of(model))["features"] = lambda features, *_: features
    try:
        write_module(
            _SourceOfSpectrogram(model), (features,), path, shapes=({0: torch.export.Dim("batch", min=1)},),
            names=(["features"], ["keys", "values", "num_frames"]), title="a Whisper encoder",
        )  # fmt: skip
    finally:
        del vars(encoder_of(model))["features"]


def write_decoder(model: SpeechModel, path: Path) -> None:
    """Write the second graph, from `tokens`, keys and values of `past` and `source` to `scores`, `keys`, `values`."""
    config = decoder_of(model).config
    batch, count, before, frames = (torch.export.Dim(name, min=1) for name in ("batch", "count", "before", "frames"))
    past, source = (torch.randn(config.decoder_layers, 2, size, config.d_model) for size in (3, 7))
    cached, attended = {1: batch, 2: before}, {1: batch, 2: frames}
    write_module(
        _Decoder(model), (torch.zeros(2, 4, dtype=torch.long), past, past.clone(), source, source.clone()), path,
        shapes=({0: batch, 1: count}, cached, cached, attended, attended),
        names=(["tokens", "past_keys", "past_values", "source_keys", "source_values"], ["scores", "keys", "values"]),
        title="a Whisper decoder",
    )  # fmt: skip
