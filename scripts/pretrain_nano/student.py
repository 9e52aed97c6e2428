"""The small model: a wav2vec2 in the format of `transformers`, how it begins, and how it is written."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from scripts.pretrain_nano.targets import HOP
from speechxfer.storage import replacing_folder, write_json

#: Convolutions by name: channels, kernels and strides. "waveform" is the usual way with a larger first stride;
#: "filterbank" begins with windows of 25 ms every 10 ms, as spectrograms do.
FRONTS = {
    "waveform": ((64, 128, 256, 256, 256), (20, 8, 4, 4, 2), (10, 4, 2, 2, 2)),
    "filterbank": ((256, 256, 256, 256), (400, 1, 3, 3), (160, 1, 1, 2)),
}
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 7600.0


def configuration(front: str, width: int, layers: int, norm: str = "group") -> Wav2Vec2Config:
    """The configuration of a student."""
    channels, kernels, strides = FRONTS[front]
    return Wav2Vec2Config(
        hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64, intermediate_size=4 * width,
        conv_dim=channels, conv_kernel=kernels, conv_stride=strides, feat_extract_norm=norm, conv_bias=True,
        num_feat_extract_layers=len(channels), num_conv_pos_embeddings=15, num_conv_pos_embedding_groups=32,
        do_stable_layer_norm=True, hidden_dropout=0.0, activation_dropout=0.0, attention_dropout=0.0,
        feat_proj_dropout=0.0, final_dropout=0.0, layerdrop=0.0, mask_time_prob=0.05, mask_feature_prob=0.0,
        vocab_size=32,
    )  # fmt: skip


def field(config: Wav2Vec2Config) -> int:
    """Samples that one frame is made of."""
    size = 1
    for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
        size = (size - 1) * stride + kernel
    return size


def num_frames(config: Wav2Vec2Config, num_samples: int) -> int:
    """Frames for a waveform."""
    return max(0, (num_samples - field(config)) // HOP + 1)


def lead(config: Wav2Vec2Config) -> tuple[int, int]:
    """How many samples to skip so that frames have the same centers as a Whisper's, and how many of those to skip."""
    half = field(config) // 2
    return -half % HOP, -(-half // HOP)


def convolved(model: Wav2Vec2Model, waveforms: Tensor) -> Tensor:
    """Waveforms [batch, samples] of one length -> [batch, frames, channels].

    On a CPU the convolutions run utterance by utterance, which is faster than together.
    """
    rows = 1 if waveforms.device.type == "cpu" else len(waveforms)
    return torch.cat([model.feature_extractor(piece) for piece in torch.split(waveforms, rows)]).transpose(1, 2)


def entering(model: Wav2Vec2Model, channels: Tensor, masked: Tensor | None = None) -> Tensor:
    """What the convolutions gave -> what enters the layers.

    `masked` [batch, frames] is true where the learned mask takes a frame's place.
    """
    hidden, _ = model.feature_projection(channels)
    if masked is not None:
        hidden = torch.where(masked[:, :, None], model.masked_spec_embed, hidden)
    entered: Tensor = hidden + model.encoder.pos_conv_embed(hidden)
    return entered


def states(model: Wav2Vec2Model, entered: Tensor) -> list[Tensor]:
    """What enters the layers, then what each gives, the last one normed."""
    found = [entered]
    for layer in model.encoder.layers:
        found.append(layer(found[-1]))
    return [*found[:-1], model.encoder.layer_norm(found[-1])]


def normalized(waveforms: Tensor) -> Tensor:
    """Each row to zero mean and unit variance, as the preprocessor does it."""
    centered = waveforms - waveforms.mean(1, keepdim=True)
    return centered * torch.rsqrt(centered.square().mean(1, keepdim=True) + 1e-7)


def fresh(config: Wav2Vec2Config, seed: int) -> Wav2Vec2Model:
    """A student with random weights."""
    torch.manual_seed(seed)
    # Never in training mode: there is no dropout, and the convolutions would ask for a gradient of the waveform.
    return Wav2Vec2Model(config).eval()


@torch.no_grad()
def hear_like_an_ear(model: Wav2Vec2Model) -> None:
    """Let the first convolution be a bank of windowed tones on the mel scale, each in four phases.

    After Zeghidour et al. (2018, "Learning filterbanks from raw speech"). A rectifier over four phases follows the
    envelope of a band, which is what a spectrogram holds.
    """
    weight = model.feature_extractor.conv_layers[0].conv.weight  # [channels, 1, size]
    bands, size = weight.shape[0] // 4, weight.shape[2]
    edges = torch.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), bands + 2).div(2595.0)
    centers_hz = 700.0 * (10.0**edges - 1.0)
    time_s = (torch.arange(size) - (size - 1) / 2) / 16_000
    for band in range(bands):
        width_hz = (centers_hz[band + 2] - centers_hz[band]).item()
        window = torch.exp(-0.5 * (time_s * width_hz * 1.5).square()) * torch.hann_window(size, periodic=False)
        for phase in range(4):
            tone = torch.cos(2 * torch.pi * (centers_hz[band + 1] * time_s + phase / 4)) * window
            weight[4 * band + phase, 0] = tone / tone.norm()


def _mel(frequency_hz: float) -> float:
    return float(2595.0 * torch.log10(torch.tensor(1.0 + frequency_hz / 700.0)))


def write(model: Wav2Vec2Model, folder: Path) -> None:
    """The folder that `transformers` opens, with weights in half precision; a model card is written by hand."""
    with replacing_folder(folder) as temporary:
        if (folder / "README.md").is_file():
            (temporary / "README.md").write_bytes((folder / "README.md").read_bytes())
        half = Wav2Vec2Model(model.config)
        half.load_state_dict(model.state_dict())
        half.half().save_pretrained(temporary)
        # Half precision is for the disk; without this, `transformers` would compute in it.
        config = json.loads((temporary / "config.json").read_text(encoding="utf-8"))
        write_json(temporary / "config.json", {**config, "dtype": "float32"})
        is_masked = model.config.feat_extract_norm == "layer"
        Wav2Vec2FeatureExtractor(return_attention_mask=is_masked).save_pretrained(temporary)
