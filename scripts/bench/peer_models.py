"""The peer's models: `transformers`' own modules under a linear CTC head, frozen as its users freeze them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import ParakeetCTCConfig, ParakeetEncoder, ParakeetForCTC, Wav2Vec2ForCTC, WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from scripts.bench.jobs import Job

BLANK = 0
NOT_A_LABEL = -100


class WhisperForCTC(nn.Module):
    """Whisper's encoder with a linear head and the loss of `Wav2Vec2ForCTC` (mean over utterances of loss a label).

    Args:
        config: of the whole Whisper.
        state: its weights.
        num_labels: blank included.
        padded: features are always those of 30 s. Without it the encoder's layers are called one by one at the
            length of the batch, since `transformers`' own forward takes nothing but 30 s.
    """

    def __init__(self, config: dict[str, Any], state: dict[str, Tensor], num_labels: int, *, padded: bool) -> None:
        super().__init__()
        self.padded = padded
        self.encoder = WhisperEncoder(WhisperConfig(**config))
        prefix = "model.encoder."
        own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        self.encoder.load_state_dict(own)
        self.head = nn.Linear(self.encoder.config.d_model, num_labels)

    def forward(self, input_features: Tensor, num_frames: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Features [batch, bins, mel frames], frames [batch], labels [batch, longest] -> logits; with labels, loss."""
        if self.padded:
            hidden_states = self.encoder(input_features).last_hidden_state
        else:
            hidden_states = self._at_own_length(input_features)
        logits = self.head(hidden_states)
        if labels is None:
            return {"logits": logits}
        return {"loss": _ctc_loss(logits, num_frames, labels), "logits": logits}

    def _at_own_length(self, input_features: Tensor) -> Tensor:
        encoder = self.encoder
        hidden_states = F.gelu(encoder.conv1(input_features))
        hidden_states = F.gelu(encoder.conv2(hidden_states)).transpose(1, 2)
        hidden_states = hidden_states + encoder.embed_positions.weight[: hidden_states.shape[1]]
        for layer in encoder.layers:
            hidden_states = layer(hidden_states, None)
        normed: Tensor = encoder.layer_norm(hidden_states)
        return normed


def _ctc_loss(logits: Tensor, num_frames: Tensor, labels: Tensor) -> Tensor:
    valid = labels != NOT_A_LABEL
    log_probabilities = F.log_softmax(logits, dim=-1, dtype=torch.float32).transpose(0, 1)
    with torch.backends.cudnn.flags(enabled=False):
        return F.ctc_loss(
            log_probabilities, labels.masked_select(valid), num_frames, valid.sum(-1),
            blank=BLANK, reduction="mean", zero_infinity=True,
        )  # fmt: skip


def build(job: Job, num_labels: int) -> Any:
    """The model of a job on its device, with what the job freezes frozen."""
    torch.manual_seed(job.seed)
    makes = {"whisper": _whisper, "wav2vec2": _wav2vec2, "fastconformer": _fastconformer}
    return makes[job.row.family](job, num_labels).to(job.device)


def _whisper(job: Job, num_labels: int) -> WhisperForCTC:
    from speechxfer.encoders.checkpoints import find

    config, state = find(job.model).read()
    model = WhisperForCTC(config, state, num_labels, padded=bool(job.row.peer_padded))
    model.encoder.requires_grad_(False)
    if job.row.train_top:
        model.encoder.layers[-job.row.train_top :].requires_grad_(True)
        model.encoder.layer_norm.requires_grad_(True)
    return model


def _wav2vec2(job: Job, num_labels: int) -> Any:
    # As the library's CTC example builds it: dropouts and layer drop 0, and what SpecAugment hides as on our side.
    model = Wav2Vec2ForCTC.from_pretrained(
        Path(job.model), vocab_size=num_labels, pad_token_id=BLANK, ctc_loss_reduction="mean", ctc_zero_infinity=True,
        attention_dropout=0.0, activation_dropout=0.0, feat_proj_dropout=0.0, hidden_dropout=0.0, final_dropout=0.0,
        layerdrop=0.0, mask_time_prob=job.row.mask_share, mask_feature_prob=0.0, attn_implementation="sdpa",
    )  # fmt: skip
    model.freeze_feature_encoder()
    if job.row.train_top is not None:
        # This also fixes the vector that hides frames; left free, it would draw the backward pass through all layers.
        model.freeze_base_model()
        for layer in model.wav2vec2.encoder.layers[len(model.wav2vec2.encoder.layers) - job.row.train_top :]:
            layer.requires_grad_(True)
    return model


def _fastconformer(job: Job, num_labels: int) -> Any:
    encoder = ParakeetEncoder.from_pretrained(Path(job.model), attn_implementation="sdpa")
    model = ParakeetForCTC(ParakeetCTCConfig(
        encoder_config=encoder.config, vocab_size=num_labels, pad_token_id=BLANK, ctc_loss_reduction="mean",
    ))  # fmt: skip
    model.encoder = encoder
    encoder.requires_grad_(False)
    if job.row.train_top:
        encoder.layers[-job.row.train_top :].requires_grad_(True)
    return model
