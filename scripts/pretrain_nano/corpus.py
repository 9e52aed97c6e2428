"""Which speech the small model is pre-trained on: the training parts of the corpora at hand, and nothing else.

    python -m scripts.pretrain_nano.corpus

A recording that any dev or test manifest beside the training part holds is left out, by its content, wherever it
turns up again; of the telephone prompts also every sentence that dev or test of the same language holds. Where a
recipe takes its dev split out of a training part (`recipes/spoken_digits`, `recipes/accented_english`), that is left
out as well.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from speechxfer import Manifest, Utterance
from speechxfer.cli import Command
from speechxfer.errors import DataError

DEFAULT = Path("data/nano")
SPEECH = "speech.jsonl"
#: The shortest utterance that is used, in seconds: less holds only a few frames.
SHORTEST_S = 0.2


@dataclasses.dataclass(frozen=True)
class Source:
    """A corpus: the folder with its manifests, and what must be kept out of training."""

    name: str
    folder: Path
    kept_out: tuple[str, ...]
    #: Whether dev and test are new sentences of known voices, so that their sentences are kept out as well.
    by_sentence: bool = False
    #: What recipes take out of the training part as dev.
    is_dev: Callable[[Utterance, Sequence[str]], bool] = lambda _utterance, _speakers: False


def _is_dev_digit(utterance: Utterance, _speakers: Sequence[str]) -> bool:
    """Takes 5 to 9, as in `recipes/spoken_digits`."""
    return int(utterance.path.stem.rsplit("_", 1)[1]) in range(5, 10)


def _is_dev_accent(utterance: Utterance, speakers: Sequence[str]) -> bool:
    """Every twentieth speaker, as in `recipes/accented_english`."""
    return utterance.speaker in speakers[::20]


def sources(corpora: Path, prompts: Path) -> list[Source]:
    """The corpora of README.md, where they lie."""
    languages = ("en", "es", "fr", "it", "ru")
    return [
        Source("speechocean762", corpora / "speechocean762", ("dev",), is_dev=_is_dev_accent),
        Source("fsdd", corpora / "fsdd", ("test",), is_dev=_is_dev_digit),
        *(Source(f"prompts-{name}", prompts / f"ivr-{name}", ("dev", "test"), True) for name in languages),
    ]


def digest(path: Path) -> str:
    """What tells a recording's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def kept_out(source: Source) -> Iterator[Utterance]:
    """The utterances of a corpus that nothing may be learned from.

    Raises:
        DataError: a manifest is missing: without it nobody knows what to keep out.
    """
    for name in source.kept_out:
        yield from Manifest.read(source.folder / f"{name}.jsonl")


def usable(source: Source, forbidden: set[str]) -> list[Utterance]:
    """The training utterances of a corpus that are long enough and not among the forbidden recordings."""
    sentences = {utterance.text for utterance in kept_out(source)} if source.by_sentence else set()
    train = Manifest.read(source.folder / "train.jsonl").with_durations()
    speakers = sorted({utterance.speaker or "" for utterance in train})
    return [
        dataclasses.replace(utterance, extra={"source": source.name})
        for utterance in train
        if (utterance.duration or 0.0) >= SHORTEST_S
        and utterance.text not in sentences
        and not source.is_dev(utterance, speakers)
        and digest(utterance.path) not in forbidden
    ]


def collect(found: list[Source]) -> Manifest:
    """All usable utterances of all corpora.

    Raises:
        DataError: there is no corpus, or a manifest is missing.
    """
    forbidden = {digest(utterance.path) for source in found for utterance in kept_out(source)}
    speech: list[Utterance] = []
    for source in found:
        chosen = usable(source, forbidden)
        hours = sum(utterance.duration or 0.0 for utterance in chosen) / 3600
        click.echo(f"{source.name:16}{len(chosen):6} utterances {hours:6.2f} h", err=True)
        speech += chosen
    if not speech:
        raise DataError("no usable utterance was found; wanted at least one training manifest")
    return Manifest(speech)


@click.command(cls=Command, help=__doc__)
@click.option("--corpora", type=click.Path(path_type=Path), default=Path("corpora"), show_default=True)
@click.option("--prompts", type=click.Path(path_type=Path), default=Path("data"), show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), default=DEFAULT, show_default=True)
def main(corpora: Path, prompts: Path, folder: Path) -> None:
    speech = collect(sources(corpora, prompts))
    folder.mkdir(parents=True, exist_ok=True)
    speech.write(folder / SPEECH)
    click.echo(f"{len(speech)} utterances, {speech.duration_s / 3600:.2f} h -> {folder / SPEECH}")


if __name__ == "__main__":
    main()
