"""What masks and dropout cost a Whisper at once, before it could get used to them: its loss a token.

    python -m scripts.bench.regularizers RUN/model --manifest data/accented-english/dev.jsonl --every 4

What costs much undoes what the model knows. Masks lie at each cut of the encoder, dropout of a tenth in all its layers.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import click
import torch

import speechxfer as sx
from speechxfer.cli import Command
from speechxfer.cli.terminal import TerminalProgress
from speechxfer.config import AugmentConfig
from speechxfer.data.augment import frame_mask
from speechxfer.data.loading import read
from speechxfer.families.whisper.decoder import WhisperSeq2SeqHead
from speechxfer.families.whisper.encoder import WhisperEncoder

_BATCH, _SHARE = 7, 0.1
_MASKS = {
    "frames": AugmentConfig(mask_feature_prob=0.0),
    "channels": AugmentConfig(mask_time_prob=0.0),
    "both": AugmentConfig(),
}


class Trial:
    """The loss of a model on some utterances, the same chance in every measurement."""

    def __init__(self, model: sx.SpeechModel, manifest: sx.Manifest) -> None:
        self.encoder, self.head = cast(WhisperEncoder, model.encoder), cast(WhisperSeq2SeqHead, model.head)
        self.head.label_smoothing = self.head.timestamp_share = 0.0
        self.model, self.waveforms = model, [read(utterance) for utterance in manifest]
        self.targets = [self.head.targets(utterance) for utterance in manifest]

    @torch.inference_mode()
    def loss(
        self,
        cut: int = 0,
        mask: AugmentConfig | None = None,
        *,
        added: Collection[int] = (),
        inner: Collection[int] = (),
    ) -> float:
        """A token's loss, with a mask at a cut; with dropout on what these encoder layers add, or inside them."""
        self.model.eval()
        for index, layer in enumerate(cast(Any, self.encoder.modules_).layers):
            layer.dropout, layer.activation_dropout = (_SHARE * (index in layers) for layers in (added, inner))
            layer.train(mode=index in added or index in inner)
        torch.manual_seed(0)
        total = 0.0
        for begin in range(0, len(self.targets), _BATCH):
            states, frames = self.encoder.frontend(*self.encoder.collate(self.waveforms[begin : begin + _BATCH]))
            states = self.encoder.run(states, frames, 0, cut)
            seeds = [(begin + row,) for row in range(len(frames))]
            if mask and (hide := frame_mask(seeds, frames, self.encoder.width_at(cut), mask)):
                states = hide(states)
            states = self.encoder.run(states, frames, cut, self.encoder.depth)
            total += float(self.head.loss(states, frames, self.targets[begin : begin + _BATCH]))
        return total / sum(map(self.head.num_labels, self.targets))


@click.command(cls=Command, help=__doc__)
@click.argument("model")
@click.option("--manifest", type=click.Path(path_type=Path), required=True)
@click.option("--every", default=1, show_default=True, help="Only every nth utterance.")
def main(model: str, manifest: Path, every: int) -> None:
    trial = Trial(sx.SpeechModel.load(model), sx.Manifest.read(manifest)[::every])
    rows = [["nothing", f"{trial.loss():.3f}"]]
    layers = range(trial.encoder.depth)
    rows += [["dropout inside all feed-forward parts", f"{trial.loss(inner=layers):.3f}"]]
    rows += [["dropout on what all layers add", f"{trial.loss(added=layers):.3f}"]]
    rows += [[f"dropout on what layer {layer} adds", f"{trial.loss(added=[layer]):.3f}"] for layer in layers]
    for cut in layers:
        rows += [[f"{name} masked at cut {cut}", f"{trial.loss(cut, mask):.3f}"] for name, mask in _MASKS.items()]
    TerminalProgress().table(model, ["", "loss a token"], rows)


if __name__ == "__main__":
    main()
