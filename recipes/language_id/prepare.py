"""Telephone prompts by language, to tell which language a recording is in.

Training has one voice of each language; where Debian has a second one, its prompts show whether it is the language
that was learned or the voice. A prompt of one name is on one side of the split in all languages.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click

import speechxfer as sx
from recipes.ivr_prompts.prepare import NOT_SPEECH, SPLITS, VOICES, fetch_debs, find, say, split_of
from recipes.ivr_prompts.prepare import prepare as prepare_prompts
from speechxfer.audio import info
from speechxfer.cli import Command
from speechxfer.errors import ConfigError, DataError
from speechxfer.storage import replacing_folder, write_text


class Voice(NamedTuple):
    """A second voice: its package, its name, and whose it is."""

    package: str
    name: str
    credit: str


SECOND_VOICES = {
    "es": Voice("asterisk-prompt-es-co", "es_CO_f_July", "July E. Jiménez, Avatar Ltda.; GPL 2"),
    "fr": Voice("asterisk-prompt-fr-armelle", "fr_FR_f_Armelle", "Armelle Desjardins, © 2006 Michel Gutierrez; BSD"),
    "it": Voice(
        "asterisk-prompt-it-menardi-wav",
        "it_IT_f_Menardi",
        "Paola Dal Zot and Marco Menardi, http://www.voip.ammdomus.it; CC BY-SA 3.0",
    ),
}
#: Spelled letters and phonetic alphabets are international.
NO_LANGUAGE = ("letters", "phonetic", "silence")
MIN_DURATION_S, MAX_DURATION_S = 1.0, 30.0


def is_usable(name: str, duration_s: float) -> bool:
    """Whether a prompt can be expected to show its language."""
    if NOT_SPEECH.fullmatch(name) or name.partition("/")[0] in NO_LANGUAGE:
        return False
    return MIN_DURATION_S <= duration_s <= MAX_DURATION_S


def first_voice(language: str, prompts: Path) -> Iterator[sx.Utterance]:
    """The prompts of a language as the recipe ivr_prompts has them; made by it where they are not there yet."""
    corpus = prompts / f"ivr-{language}"
    prepare_prompts(language, corpus, overwrite=False)
    for split in SPLITS:
        for utterance in sx.Manifest.read(corpus / f"{split}.jsonl"):
            name = utterance.extra["prompt"]
            if is_usable(name, utterance.duration or 0.0):
                yield dataclasses.replace(utterance, label=language, text=None, extra={"prompt": name})


def second_voice(language: str, folder: Path) -> Iterator[sx.Utterance]:
    """Fetch a language's second voice; its usable prompts are copied to `folder/audio`.

    Raises:
        DataError: the package cannot be had.
    """
    voice = SECOND_VOICES[language]
    with tempfile.TemporaryDirectory() as temporary:
        downloads, unpacked = Path(temporary).resolve() / "downloads", Path(temporary).resolve() / "unpacked"
        downloads.mkdir()
        unpacked.mkdir()
        if not fetch_debs([voice.package], downloads, unpacked):
            raise DataError(f"{voice.package}: apt-get could not fetch it; this recipe needs Debian's packages.")
        sounds = find(unpacked, "agent-alreadyon.*").parent
        for path in sorted(item for item in sounds.rglob("*") if item.suffix in (".wav", ".gsm")):
            name, duration = path.relative_to(sounds).with_suffix("").as_posix(), info(path).duration
            if not is_usable(name, duration):
                continue
            target = folder / "audio" / language / path.relative_to(sounds)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            yield sx.Utterance(
                audio=target.relative_to(folder).as_posix(),
                source=sx.FileSource(target),
                label=language,
                speaker=voice.name,
                duration=round(duration, 4),
                extra={"prompt": name},
            )


def write_corpus(languages: Sequence[str], prompts: Path, folder: Path) -> dict[str, list[sx.Utterance]]:
    """Write the manifests and the attribution; the utterances of each manifest."""
    known = [utterance for language in languages for utterance in first_voice(language, prompts)]
    other = [item for language in languages if language in SECOND_VOICES for item in second_voice(language, folder)]
    manifests = {split: [item for item in known if split_of(item.extra["prompt"]) == split] for split in SPLITS}
    manifests["other-voices"] = other
    manifests["other-voices-new"] = [item for item in other if split_of(item.extra["prompt"]) != "train"]
    for name, utterances in manifests.items():
        if utterances:
            sx.Manifest(utterances).write(folder / f"{name}.jsonl")
    write_text(folder / "ATTRIBUTION", attribution(languages))
    return manifests


def attribution(languages: Sequence[str]) -> str:
    first = [f"{language}: {VOICES[language]}, see ivr-{language}/ATTRIBUTION" for language in languages]
    second = [f"{language}: {voice.credit}" for language, voice in SECOND_VOICES.items() if language in languages]
    return "\n".join(["Telephone prompts by language. The audio is unchanged.", *first, "Second voices", *second, ""])


def summary(languages: Sequence[str], manifests: dict[str, list[sx.Utterance]]) -> str:
    lines = [f"{'manifest':18}" + "".join(f"{language:>6}" for language in languages) + f"{'minutes':>9}"]
    for name, utterances in manifests.items():
        counts = Counter(utterance.label for utterance in utterances)
        minutes = sum(utterance.duration or 0.0 for utterance in utterances) / 60
        lines.append(f"{name:18}" + "".join(f"{counts[language]:6}" for language in languages) + f"{minutes:9.1f}")
    return "\n".join(lines)


def prepare(languages: Sequence[str], prompts: Path, output: Path) -> None:
    """Fetch, split and write, or say that it was done before."""
    mark = output / "ATTRIBUTION"
    if mark.is_file() and mark.read_text(encoding="utf-8") == attribution(languages):
        say(f"{output} is there already and complete; remove it to make it again")
        return
    if output.exists() and any(output.iterdir()):
        raise ConfigError(f"{output}: is no corpus of these languages; choose another --output.")
    with replacing_folder(output) as folder:
        manifests = write_corpus(languages, prompts, folder)
    click.echo(summary(languages, manifests))


@click.command(cls=Command, help=__doc__)
@click.option("--languages", default="en,es,fr,it,ru", show_default=True, help="Languages, separated by commas.")
@click.option("--prompts", type=click.Path(path_type=Path), default=Path("data"), show_default=True, help="Folder of the corpora of ivr_prompts; those that are missing are made there.")  # fmt: skip  # noqa: E501
@click.option("--output", type=click.Path(path_type=Path), default=Path("data/language_id"), show_default=True)
def main(languages: str, prompts: Path, output: Path) -> None:
    chosen = sorted(set(languages.split(",")))
    if unknown := set(chosen) - set(VOICES):
        raise ConfigError(f"languages {', '.join(sorted(unknown))}: wanted some of {', '.join(sorted(VOICES))}.")
    prepare(chosen, prompts, output)


if __name__ == "__main__":
    main()
