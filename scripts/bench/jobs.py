"""The trainings that are measured: what is trained on what, given to both sides in the same words."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """A training as the result table knows it."""

    family: str
    #: Layers trained from the top; None trains everything but the convolutions.
    train_top: int | None
    #: Whether the peer computes 30 s for every utterance; None where its encoder takes any length anyway.
    peer_padded: bool | None
    epochs: int
    batch_s: float
    head_lr: float
    encoder_lr: float = 3e-4
    #: Share of frames hidden by SpecAugment on either side.
    mask_share: float = 0.0
    #: "ctc", or "seq2seq": Whisper's own decoder.
    head: str = "ctc"
    #: Pieces of words that the CTC head writes; 0 for characters.
    pieces: int = 0


def _whisper(train_top: int, peer_padded: bool) -> Row:
    return Row("whisper", train_top, peer_padded, epochs=20, batch_s=20.0, head_lr=3e-3)


def _wav2vec2(train_top: int | None) -> Row:
    rate = 1e-4 if train_top is None else 3e-4
    return Row("wav2vec2", train_top, None, 10, 40.0, head_lr=1e-3, encoder_lr=rate, mask_share=0.05)


def _fastconformer(train_top: int) -> Row:
    return Row("fastconformer", train_top, None, 20, 80.0, head_lr=1e-3, pieces=128)


ROWS = {
    "whisper-head-padded": _whisper(0, peer_padded=True),
    "whisper-top2-padded": _whisper(2, peer_padded=True),
    "whisper-head-unpadded": _whisper(0, peer_padded=False),
    "whisper-decoder": Row("whisper", 0, True, 3, 40.0, head_lr=1e-4, encoder_lr=1e-4, head="seq2seq"),
    "w2v2-head": _wav2vec2(0),
    "w2v2-top2": _wav2vec2(2),
    "w2v2-all": _wav2vec2(None),
    "fastconformer-head": _fastconformer(0),
    "fastconformer-top2": _fastconformer(2),
}


#: What is counted as an error: a decoder that knows the language may write "2" for "two".
SCORED_BY = {"ctc": "basic", "seq2seq": "whisper-english"}


@dataclass(frozen=True)
class Job:
    """One training with everything either side needs; paths are folders and files of this machine."""

    row: Row
    model: str
    train: str
    dev: str
    #: Folder to work in.
    output: str
    #: The peer may run fewer and be extrapolated.
    peer_epochs: int
    #: Utterances in a step of the peer.
    peer_batch: int
    #: Processes that load its batches; None finds the fastest by trial.
    peer_workers: int | None
    device: str
    seed: int
    #: Measure the peer's error rates on dev.
    score_peer: bool

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Job:
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**values, "row": Row(**values["row"])})
