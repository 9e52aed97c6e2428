"""Manifests of speechocean762: read English by native speakers of Mandarin, half of them children.

The corpus is OpenSLR 101 (Zhang et al., 2021), CC BY-SA 4.0. Its own halves are kept: the test half is only measured.
Dev, which chooses the epoch, is some speakers of the training half.
"""

from __future__ import annotations

import tarfile
import tempfile
import urllib.request
from pathlib import Path

import click

import speechxfer as sx
from speechxfer.cli import Command

URL = "https://www.openslr.org/resources/101/speechocean762.tar.gz"
#: Every so many speakers of the training half are dev.
DEV_EVERY = 20


def fetch(folder: Path) -> Path:
    """Download and unpack the corpus, 520 MB, unless it is there."""
    corpus = folder / "speechocean762"
    if not corpus.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            archive = Path(temporary) / "corpus.tar.gz"
            click.echo(f"fetching {URL}")
            urllib.request.urlretrieve(URL, archive)
            with tarfile.open(archive) as tar:
                tar.extractall(temporary, filter="data")
            (Path(temporary) / "speechocean762").rename(corpus)
    return corpus


def half(corpus: Path, name: str) -> sx.Manifest:
    """One half of the corpus, from a manifest `NAME.jsonl` or the lists that it comes with."""
    manifest = corpus / f"{name}.jsonl"
    if manifest.is_file():
        return sx.Manifest.read(manifest)
    columns = {file: _table(corpus / name / file) for file in ("text", "wav.scp", "utt2spk", "spk2age", "spk2gender")}
    utterances = []
    for key, text in columns["text"].items():
        speaker = columns["utt2spk"][key]
        person = {"age": int(columns["spk2age"][speaker]), "gender": columns["spk2gender"][speaker]}
        audio = columns["wav.scp"][key]
        utterances.append(
            sx.Utterance(audio=audio, source=sx.FileSource(corpus / audio), text=text, speaker=speaker, extra=person)
        )
    return sx.Manifest(utterances)


def _table(path: Path) -> dict[str, str]:
    """Lines of a key and a value."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        raise click.ClickException(f"{path}: cannot be read; wanted the unpacked speechocean762, or its manifests") from None  # fmt: skip  # noqa: E501
    return {key: value.strip() for key, _, value in (line.replace("\t", " ").partition(" ") for line in lines)}


@click.command(cls=Command)
@click.option("--corpus", type=click.Path(path_type=Path), help="Folder of the corpus (default: download it).")
@click.option("--test-manifest", default="test", show_default=True, help="Name of the manifest for the test half.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("data/accented-english"), show_default=True)
def prepare(corpus: Path | None, test_manifest: str, output: Path) -> None:
    """Write train.jsonl, dev.jsonl and test.jsonl."""
    corpus = corpus or fetch(output)
    train, test = half(corpus, "train"), half(corpus, test_manifest)
    speakers = sorted({utterance.speaker or "" for utterance in train})
    held_out = set(speakers[::DEV_EVERY])
    splits = {
        "train": [utterance for utterance in train if utterance.speaker not in held_out],
        "dev": [utterance for utterance in train if utterance.speaker in held_out],
        "test": list(test),
    }
    for name, utterances in splits.items():
        manifest = sx.Manifest(utterances).with_durations()
        manifest.write(output / f"{name}.jsonl")
        hours = sum(utterance.duration or 0.0 for utterance in manifest) / 3600
        people = len({utterance.speaker for utterance in manifest})
        click.echo(f"{name}: {len(manifest)} utterances of {people} speakers, {hours:.2f} h")


if __name__ == "__main__":
    prepare()
