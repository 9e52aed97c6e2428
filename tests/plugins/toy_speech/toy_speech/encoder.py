"""An encoder of the energy in eight bands, with residual layers on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from speechxfer.data.augment import Distortion
from speechxfer.encoders.base import Encoder, LayerGroup

_HOP = 320  # samples, 20 ms
_BANDS = 8


class EnergyEncoder(Encoder):
    """Log energies of bands, projected, and layers of which each sees one frame.

    Args:
        width: size of a hidden state.
        depth: number of layers.
        skip_bass: leave out the lowest band.
    """

    family = "toy-energy"
    frame_rate = 50.0
    max_duration_s = None

    def __init__(self, width: int, depth: int, *, skip_bass: bool = False) -> None:
        super().__init__()
        self.width, self.depth, self.skip_bass = width, depth, skip_bass
        self.projection = nn.Linear(_BANDS, width)
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(width, width), nn.Tanh()) for _ in range(depth))

    @classmethod
    def build(cls, config: Mapping[str, Any], options: Mapping[str, Any]) -> Self:
        """With random weights."""
        return cls(int(config["width"]), int(config["depth"]), **options)

    def load_source(self, state: Mapping[str, Tensor]) -> None:
        """Take the weights, whose names are those of the modules."""
        self.load_state_dict(dict(state))

    def num_frames(self, num_samples: Any) -> Any:
        """One for each whole hop."""
        return num_samples // _HOP

    def frontend(
        self, waveforms: Tensor, num_samples: Tensor, distortion: Distortion | None = None
    ) -> tuple[Tensor, Tensor]:
        """[batch, samples], [batch] -> projected energies [batch, frames, width], frames [batch]."""
        frames = waveforms[:, : waveforms.shape[1] // _HOP * _HOP].unflatten(1, (-1, _HOP))
        power = torch.fft.rfft(frames).abs()[..., 1:].unflatten(2, (_BANDS, -1)).mean(dim=-1)
        if self.skip_bass:
            power[..., 0] = 0.0
        return self.projection(torch.log(power + 1e-3)), self.num_frames(num_samples)

    @property
    def _layers(self) -> nn.ModuleList:
        return self.layers

    def _run_layers(self, hidden_states: Tensor, valid: Tensor | None, start: int, stop: int) -> Tensor:
        for layer in self.layers[start:stop]:
            hidden_states = hidden_states + self._call(layer, hidden_states)
        return hidden_states

    def _layer_groups(self) -> list[LayerGroup]:
        layers = [LayerGroup(f"layer {index}", index + 1, (layer,)) for index, layer in enumerate(self.layers)]
        return [LayerGroup("projection", 0, (self.projection,)), *layers]

    def _describe(self) -> dict[str, Any]:
        config = {"model_type": self.family, "width": self.width, "depth": self.depth}
        return {"config": config, "options": {"skip_bass": self.skip_bass}}

    def set_dropout(self, probability: float) -> None:
        """There is none."""
