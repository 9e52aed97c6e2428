"""The Free Spoken Digit Dataset as manifests: by its own rule, and with one speaker at a time left out of training.

Recordings are called DIGIT_SPEAKER_TAKE.wav. By the set's own rule takes 0 to 4 are the test; dev is takes 5 to 9 of
what that leaves for training. They are copied unchanged.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from recipes.ivr_prompts.prepare import say, unpack
from speechxfer.audio import info
from speechxfer.cli import Command
from speechxfer.errors import ConfigError, DataError
from speechxfer.storage import replacing_folder, write_text

ARCHIVE = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/heads/master.tar.gz"
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RECORDING = re.compile(r"(\d)_([^_]+)_(\d+)\.(?:wav|flac)")
TEST_TAKES, DEV_TAKES = range(5), range(5, 10)
SPLITS = ("train", "dev", "test")
ATTRIBUTION = """Free Spoken Digit Dataset, Zohar Jackson and others, https://github.com/Jakobovski/free-spoken-digit-dataset
CC BY-SA 4.0, https://creativecommons.org/licenses/by-sa/4.0/. The audio is unchanged; manifests were added.
"""


class Recording(NamedTuple):
    """One spoken digit."""

    path: Path
    digit: int
    speaker: str
    take: int
    duration: float  # s


def fetch(folder: Path) -> Path:
    """Download and unpack the corpus below `folder`.

    Raises:
        DataError: it could not be downloaded.
    """
    say(f"downloading {ARCHIVE}")
    try:
        with urllib.request.urlopen(ARCHIVE, timeout=60) as answer:
            unpack(answer.read(), folder)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"{ARCHIVE}: could not be downloaded ({error}); fetch it by hand and pass --corpus.") from error
    return folder


def find(corpus: Path) -> list[Recording]:
    """Every recording below a folder, by its name.

    Raises:
        DataError: there is none, or the same one twice.
    """
    found: dict[tuple[int, str, int], Recording] = {}
    for path in sorted(corpus.rglob("*")):
        if match := RECORDING.fullmatch(path.name):
            key = int(match[1]), match[2], int(match[3])
            if key in found:
                raise DataError(f"{path}: is there as {found[key].path} too; name the folder of one of them.")
            found[key] = Recording(path, *key, info(path).duration)
    if not found:
        raise DataError(f"{corpus}: holds no recordings with names such as 7_jackson_32.wav.")
    return list(found.values())


def split_of(recording: Recording) -> str:
    """The set's own rule, and a dev split from what it leaves for training."""
    if recording.take in TEST_TAKES:
        return "test"
    return "dev" if recording.take in DEV_TAKES else "train"


def split_without(speaker: str, recording: Recording) -> str:
    """All of one speaker are the test; the set's own test takes of the others are trained on."""
    if recording.speaker == speaker:
        return "test"
    return "dev" if recording.take in DEV_TAKES else "train"


def rows(recordings: Sequence[Recording], audio: str) -> Iterator[str]:
    for recording in recordings:
        row = {
            "audio": f"{audio}/{recording.path.name}",
            "duration": round(recording.duration, 4),
            "text": NAMES[recording.digit],
            "label": NAMES[recording.digit],
            "speaker": recording.speaker,
        }
        yield json.dumps(row) + "\n"


def write_corpus(recordings: Sequence[Recording], folder: Path) -> None:
    """Copy the audio, and write manifests and attribution into `folder`."""
    (folder / "audio").mkdir()
    for recording in recordings:
        shutil.copyfile(recording.path, folder / "audio" / recording.path.name)
    for split in SPLITS:
        members = [recording for recording in recordings if split_of(recording) == split]
        write_text(folder / f"{split}.jsonl", "".join(rows(members, "audio")))
        for speaker in sorted({recording.speaker for recording in recordings}):
            members = [recording for recording in recordings if split_without(speaker, recording) == split]
            write_text(folder / f"without-{speaker}" / f"{split}.jsonl", "".join(rows(members, "../audio")))
    write_text(folder / "ATTRIBUTION", ATTRIBUTION)


def summary(recordings: Sequence[Recording]) -> str:
    lines = [f"{'split':6}{'utterances':>11}{'minutes':>9}"]
    for split in SPLITS:
        durations = [recording.duration for recording in recordings if split_of(recording) == split]
        lines.append(f"{split:6}{len(durations):11}{sum(durations) / 60:9.1f}")
    return "\n".join([*lines, f"speakers: {', '.join(sorted({recording.speaker for recording in recordings}))}"])


def prepare(corpus: Path | None, output: Path) -> None:
    """Fetch, split and write, or say that it was done before."""
    mark = output / "ATTRIBUTION"
    if mark.is_file() and mark.read_text(encoding="utf-8") == ATTRIBUTION:
        say(f"{output} is there already and complete; remove it to make it again")
        return
    if output.exists() and any(output.iterdir()):
        raise ConfigError(f"{output}: is no corpus of this recipe; choose another --output.")
    with tempfile.TemporaryDirectory() as temporary:
        recordings = find(corpus or fetch(Path(temporary).resolve()))
        with replacing_folder(output) as folder:
            write_corpus(recordings, folder)
    click.echo(summary(recordings))


@click.command(cls=Command, help=__doc__)
@click.option("--corpus", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Folder that holds the recordings at any depth, wav or flac [default: download them].")  # fmt: skip  # noqa: E501
@click.option("--output", type=click.Path(path_type=Path), default=Path("data/spoken_digits"), show_default=True)
def main(corpus: Path | None, output: Path) -> None:
    prepare(corpus, output)


if __name__ == "__main__":
    main()
