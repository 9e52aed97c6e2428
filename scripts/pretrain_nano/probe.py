"""What each layer of a frozen encoder knows: linear probes on spoken digits and on telephone prompts.

    python -m scripts.pretrain_nano.probe wav2vec2-nano
    python -m scripts.pretrain_nano.probe data/nano/run/finished --quick

Digits: logistic regression on the mean and the deviation of a layer's frames over time. Prompts: one linear layer from
a frame to characters, trained by CTC; its character error rate counts. The first row is the same probe on the log-mel
spectrogram (80 bands, two frames of 10 ms side by side). `--quick` looks at nothing that figures are reported on: it
trains on four speakers of the digits' training half and tests on the two others, and learns from a third of the
Italian prompts for dev.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speechxfer import Manifest, SpeechxferError, TextNormalizer, Utterance, error_rates
from speechxfer.cli.terminal import TerminalProgress
from speechxfer.data.loading import read
from speechxfer.data.text import CTCVocabulary
from speechxfer.encoders import load_encoder
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.encoders.whisper import LogMel
from speechxfer.heads.ctc import CTCHead
from speechxfer.storage import write_json

_QUICK_SPEAKERS = ("theo", "yweweler")
_EPOCHS, _BATCH = 15, 16
#: For one waveform [samples], the frames of every layer [frames, width], from the bottom up.
Layers = Callable[[Tensor], list[Tensor]]


@dataclass(frozen=True)
class Probed:
    """The frames [frames, width] of each utterance at one layer."""

    train: list[Tensor]
    test: list[Tensor]

    def standardised(self) -> Probed:
        """Each channel with zero mean and unit variance over the training frames."""
        mean, deviation = _statistics(self.train)
        return Probed(*([(one - mean) / deviation for one in part] for part in (self.train, self.test)))


def _statistics(frames: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    together = torch.cat(list(frames))
    return together.mean(0), together.std(0).clamp(min=1e-5)


def log_mel(waveform: Tensor) -> list[Tensor]:
    """Two frames of a Whisper's spectrogram as one."""
    bins = LogMel(80)(waveform[None], torch.tensor([len(waveform)]))[0].T
    return [bins[: len(bins) // 2 * 2].reshape(-1, 160)]


def layers_of(encoder: Encoder) -> Layers:
    """All cuts of an encoder."""

    @torch.inference_mode()
    def frames(waveform: Tensor) -> list[Tensor]:
        hidden, count = encoder.frontend(waveform[None], torch.tensor([len(waveform)]))
        found = [hidden[0]]
        for cut in range(encoder.depth):
            hidden = encoder.run(hidden, count, cut, cut + 1)
            found.append(hidden[0])
        return found

    return frames


def probed(layers: Layers, train: Sequence[Utterance], test: Sequence[Utterance]) -> Iterator[Probed]:
    """What there is to probe at each layer, from the bottom up."""
    parts = [[layers(torch.from_numpy(read(utterance))) for utterance in part] for part in (train, test)]
    for number in range(len(parts[0][0])):
        yield Probed(*([frames[number] for frames in part] for part in parts))


def digit_accuracy(frames: Probed, train: Sequence[Utterance], test: Sequence[Utterance]) -> float:
    """Of a logistic regression on mean and deviation over time."""
    names = sorted({utterance.label or "" for utterance in train})
    wanted = [torch.tensor([names.index(one.label or "") for one in part]) for part in (train, test)]
    pooled = [torch.stack([torch.cat([one.mean(0), one.std(0, correction=0)]) for one in part]) for part in (frames.train, frames.test)]  # fmt: skip  # noqa: E501
    mean, deviation = _statistics(pooled[:1])
    known, new = ((part - mean) / deviation for part in pooled)
    weight = torch.zeros(known.shape[1], len(names), requires_grad=True)
    bias = torch.zeros(len(names), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(known @ weight + bias, wanted[0]) + 1e-3 * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return float(((new @ weight + bias).argmax(1) == wanted[1]).float().mean())


def prompt_error(frames: Probed, train: Sequence[Utterance], test: Sequence[Utterance]) -> float:
    """Character error rate of one linear layer."""
    frames = frames.standardised()
    normalizer = TextNormalizer("basic")
    vocabulary = CTCVocabulary.from_texts(normalizer(one.text or "") for one in train)
    torch.manual_seed(0)
    head = CTCHead(frames.train[0].shape[1], 50.0, vocabulary, normalizer)
    targets = [head.targets(utterance) for utterance in train]
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    steps = _EPOCHS * -(-len(train) // _BATCH)
    for step in range(steps):
        rows = torch.randint(len(train), (_BATCH,)).tolist()
        loss = head.loss(*_padded([frames.train[row] for row in rows]), [targets[row] for row in rows])
        optimizer.zero_grad()
        (loss / sum(len(targets[row]) for row in rows)).backward()  # type: ignore[no-untyped-call]
        optimizer.param_groups[0]["lr"] = 1e-2 * (1.0 - step / steps)
        optimizer.step()
    with torch.inference_mode():
        written = [head.decode(*_padded([one]))[0].text for one in frames.test]
    return error_rates([one.text or "" for one in test], written, normalizer).cer


def _padded(frames: list[Tensor]) -> tuple[Tensor, Tensor]:
    return nn.utils.rnn.pad_sequence(frames, batch_first=True), torch.tensor([len(one) for one in frames])


def digit_parts(corpora: Path, *, quick: bool) -> tuple[list[Utterance], list[Utterance]]:
    """Training and test utterances of the digits."""
    train = Manifest.read(corpora / "fsdd" / "train.jsonl")
    if not quick:
        return list(train), list(Manifest.read(corpora / "fsdd" / "test.jsonl"))
    return (
        [one for one in train if one.speaker not in _QUICK_SPEAKERS][::2],
        [one for one in train if one.speaker in _QUICK_SPEAKERS],
    )


def prompt_parts(prompts: Path, language: str, *, quick: bool) -> tuple[list[Utterance], list[Utterance]]:
    """Training and test utterances of one language."""
    folder = prompts / f"ivr-{language}"
    train = list(Manifest.read(folder / "train.jsonl"))
    if not quick:
        return train, list(Manifest.read(folder / "test.jsonl"))
    return train[::3], list(Manifest.read(folder / "dev.jsonl"))


def table(
    layers: Layers, languages: Sequence[str], corpora: Path, prompts: Path, *, quick: bool
) -> list[dict[str, float]]:
    """For each layer the accuracy on digits and the error rate on each language's prompts."""
    train, test = digit_parts(corpora, quick=quick)
    rows = [{"digits": digit_accuracy(frames, train, test)} for frames in probed(layers, train, test)]
    for language in languages:
        train, test = prompt_parts(prompts, language, quick=quick)
        for row, frames in zip(rows, probed(layers, train, test), strict=True):
            row[language] = prompt_error(frames, train, test)
    return rows


@click.command(help=__doc__)
@click.argument("model")
@click.option("--corpora", type=click.Path(path_type=Path), default=Path("corpora"), show_default=True)
@click.option("--prompts", type=click.Path(path_type=Path), default=Path("data"), show_default=True)
@click.option("--language", "languages", multiple=True, default=("en", "es", "fr", "it", "ru"), show_default=True)
@click.option("--quick", is_flag=True, help="Italian only, and on nothing that is reported.")
@click.option("--spectrogram/--no-spectrogram", default=True, show_default=True, help="Probe the log-mel as well.")
@click.option("--result", type=click.Path(path_type=Path), help="Also write the figures as JSON.")
@click.option("--threads", type=int, default=1, show_default=True)
def main(
    model: str, corpora: Path, prompts: Path, languages: tuple[str, ...], quick: bool, spectrogram: bool,
    result: Path | None, threads: int,
) -> None:  # fmt: skip
    torch.set_num_threads(threads)
    chosen = ("it",) if quick else languages
    try:
        encoder = load_encoder(model, *find(model).read()).eval()
        names = ["convolutions", *(f"layer {cut}" for cut in range(1, encoder.depth + 1))]
        rows = (
            dict(zip(["log-mel"], table(log_mel, chosen, corpora, prompts, quick=quick), strict=True))
            if spectrogram
            else {}
        )
        rows |= zip(names, table(layers_of(encoder), chosen, corpora, prompts, quick=quick), strict=True)
    except SpeechxferError as error:
        raise SystemExit(f"Error: {error}") from None
    columns = ["digits", *chosen]
    cells = [[where, *(f"{row[column]:.3f}" for column in columns)] for where, row in rows.items()]
    TerminalProgress().table(model, ["", *columns], cells)
    if result:
        write_json(result, rows)
    click.echo(json.dumps(rows))


if __name__ == "__main__":
    main()
