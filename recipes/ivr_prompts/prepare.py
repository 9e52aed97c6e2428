"""Asterisk's telephone prompts as a small speech corpus: fetch, clean, split, write manifests.

One professional voice a language, 8 kHz, 20 to 30 minutes. The audio is copied unchanged; what the
transcripts need before they say what is spoken stands in the tables at the top.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import lzma
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unicodedata
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click
from num2words import num2words

from speechxfer.audio import info
from speechxfer.cli import Command
from speechxfer.errors import ConfigError, DataError
from speechxfer.storage import replacing_folder, write_text

VOICES = {
    "en": "en_US_f_Allison",
    "es": "es_MX_f_Allison",
    "fr": "fr_CA_f_June",
    "it": "it_IT_m_Carlo",
    "ru": "ru_RU_f_IvrvoiceRU",
}
LETTERS = {"en": "a-z", "es": "a-záéíñóúü", "fr": "a-zàâæçèéêëîïôùûüÿœ", "it": "a-zàèéìòù", "ru": "а-я"}  # noqa: RUF001

UPSTREAM = "https://downloads.asterisk.org/pub/telephony/sounds/releases"

# Repairs of whole lines of the transcript file: what stands there -> what was meant. The Italian file
# has lost some accents to '?'; the patterns leave real question marks, which follow whole words, alone.
REPAIRS: dict[str, tuple[tuple[str, str], ...]] = {
    "es": ((r"^digits/0: diez", "digits/10: diez"), (r"\bparacambiar\b", "para cambiar")),
    "fr": ((r"\bce tte\b", "cette"), (r"\bseixième\b", "seizième")),
    "it": (
        (r"\bsar\?", "sarà"),
        (r"\bpu\?", "può"),
        (r"\bcos\?", "così"),
        (r"\bpi\?", "più"),
        (r"(?<=\w) \? (?=\w)", " è "),
        (r"(?<!\w)E'(?= )", "È"),
    ),
    "ru": ((r"\bпервoe\b", "первое"),),  # noqa: RUF001  the o and e found there are Latin
}
# Lines whose words are not what is said: an English word, a hint at pronunciation, a slip of the copyist.
WRONG = {"fr": {"digits/h-80", "spy-iax2"}, "it": {"is", "spy-h323", "spy-mgcp", "spy-nbs"}}
NOT_SPEECH = re.compile(r"silence/.*|beep|beeperr|(a|de)scending-2tone|confbridge-(join|leave)|tt-monkeys")

LINE = re.compile(r"([\w/.-]+):\s*(.*)")
RUN_ON = re.compile(r"\b(?:conf|confbridge|vm)-[\w-]+:\s.*")  # the next prompt's line, glued on
EMPTY_BRACKETS = re.compile(r"\[[^\w\]]*\]")  # "at [@]"
CLOSING_REMARK = re.compile(r"(?:\([^()]*\)|\[[^\[\]]*\]|<[^<>]*>)\W*$")
UNUSABLE = (
    ("nothing is spoken", re.compile(r"^\W*$")),
    ("a number of three or more digits", re.compile(r"\d{3,}|\d[.,]\d")),
    ("a web address", re.compile(r"\bwww\.")),
    ("a symbol with several names", re.compile(r"[*#]")),
    ("bracketed words that may or may not be spoken", re.compile(r"[\[(<]")),
)

MAX_DURATION_S, MIN_DURATION_S = 30.0, 0.2
MIN_LETTERS_PER_S, MAX_LETTERS_PER_S = 3, 35
SILENCE_S = 1.0  # around the words, and not counted against a slow prompt

SPLITS = ("train", "dev", "test")
TEST_SHARE, DEV_SHARE = 0.12, 0.08
# Of many salts the one that brings test and dev of all five languages nearest to their sizes; nothing else
# was looked at. Changing it changes every split.
SPLIT_SALT = "ivr-prompts-328"


class Line(NamedTuple):
    """One line of the transcript file: the prompt's name, its text as published, and repaired."""

    name: str
    raw_text: str
    text: str


class Prompt(NamedTuple):
    """One usable prompt: its name, the words as published and normalized, and its sound."""

    name: str
    raw_text: str
    text: str
    path: Path
    duration: float  # s


def fetch(language: str, folder: Path) -> Path:
    """Download and unpack the prompts of `language` below `folder`; answer the folder with all the files.

    Raises:
        DataError: neither apt nor the upstream site could deliver them.
    """
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    if not fetch_debs([f"asterisk-core-sounds-{language}", f"asterisk-core-sounds-{language}-wav"], folder, unpacked):
        unpack(download_tarball(language), unpacked)
    return unpacked


def fetch_debs(packages: Sequence[str], folder: Path, unpacked: Path) -> bool:
    """Let apt download packages into `folder` and unpack them; False where there is no apt or it has no network."""
    if not shutil.which("apt-get") or not download_debs(packages, folder):
        return False
    for deb in sorted(folder.glob("*.deb")):
        unpack(data_archive(deb), unpacked)
    return True


def download_debs(packages: Sequence[str], folder: Path) -> bool:
    """Let apt download packages into `folder`, with lists of its own where the system's are empty."""
    private = ("-o", f"Dir::State::Lists={folder / 'lists'}", "-o", f"Dir::Cache={folder / 'cache'}")
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    return run_apt(folder, "download", *packages) or (
        run_apt(folder, *private, "update") and run_apt(folder, *private, "download", *packages)
    )


def run_apt(folder: Path, *arguments: str) -> bool:
    # Packages are fetched into a private folder, which apt's own unprivileged user may not enter.
    command = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", *arguments]
    say(" ".join(word for word in command if "::" not in word and word != "-o"))
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        say(f"  did not work: {(result.stderr.strip() or 'no reason given').splitlines()[-1]}")
    return result.returncode == 0


def download_tarball(language: str) -> bytes:
    """The upstream archive of sounds and transcripts, for machines without apt."""
    url = f"{UPSTREAM}/asterisk-core-sounds-{language}-wav-1.6.1.tar.gz"
    say(f"downloading {url}")
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return bytes(answer.read())
    except (OSError, http.client.HTTPException) as error:
        raise DataError(
            f"{url}: could not be downloaded ({error}) and apt-get did not deliver the packages "
            f"asterisk-core-sounds-{language} and -wav either; check the network, then run again."
        ) from error


def data_archive(deb: Path) -> bytes:
    """The tar archive of a Debian package's files.

    Raises:
        DataError: the file is no Debian package.
    """
    if shutil.which("dpkg-deb"):
        result = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(deb)], capture_output=True, check=False)
        if result.returncode == 0:
            return result.stdout
    for name, content in ar_members(deb.read_bytes()):
        if name.startswith("data.tar"):
            return content
    raise DataError(f"{deb}: no data.tar inside, so this is no Debian package; delete it and run again.")


def ar_members(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and contents in an `ar` archive: 60-byte headers, contents padded to even lengths."""
    offset = 8 if archive.startswith(b"!<arch>\n") else len(archive)
    while (header := archive[offset : offset + 60]).endswith(b"`\n"):
        size = int(header[48:58])
        yield header[:16].decode("ascii").strip().rstrip("/"), archive[offset + 60 : offset + 60 + size]
        offset += 60 + size + size % 2


def unpack(archive: bytes, folder: Path) -> None:
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, members=[m for m in tar if m.isfile()], filter="data")
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise DataError(f"the downloaded archive cannot be unpacked ({error}); run again.") from error


def find(folder: Path, pattern: str) -> Path:
    for path in sorted(folder.rglob(pattern)):
        return path
    raise DataError(f"{folder}: no {pattern} among the downloaded files; the archive has another layout.")


def read_transcripts(content: str, language: str) -> list[Line]:
    """Every line that is not a comment, repaired."""
    lines = []
    for line in content.removeprefix("\ufeff").splitlines():
        repaired = line
        for pattern, replacement in REPAIRS.get(language, ()):
            repaired = re.sub(pattern, replacement, repaired)
        if match := LINE.fullmatch(repaired.strip()):
            lines.append(Line(match[1], line.partition(":")[2].strip(), match[2]))
    return lines


def spoken(name: str, text: str) -> str:
    """`text` without what nobody says: remarks, symbols in brackets, the line of another prompt."""
    text = RUN_ON.sub("", text.removeprefix(f"{name}: "))
    return CLOSING_REMARK.sub("", EMPTY_BRACKETS.sub("", text)).strip()


def normalize(text: str, language: str) -> str:
    """Lower-case words with apostrophes, one space between them; numbers are spelled out."""
    text = unicodedata.normalize("NFC", text).lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    text = re.sub(r"\d+", lambda number: f" {num2words(int(number[0]), lang=language)} ", text)
    if language == "ru":
        text = text.replace("ё", "е")  # noqa: RUF001  the file writes both for the same words
    return " ".join(re.sub(r"[^\w']|_|(?<!\w)'", " ", text).split())


def why_unusable(name: str, text: str, language: str) -> str | None:
    """The reason to leave a transcript out, or None."""
    if NOT_SPEECH.fullmatch(name):
        return "nothing is spoken"
    if name in WRONG.get(language, ()):
        return "the transcript is known to be wrong"
    for reason, pattern in UNUSABLE:
        if pattern.search(text):
            return reason
    if re.search(f"[^{LETTERS[language]}' ]", normalize(text, language)):
        return "letters of another alphabet"
    return None


def why_unlikely(text: str, duration: float) -> str | None:
    """The reason to doubt that `text` is what `duration` seconds of audio say, or None."""
    if not MIN_DURATION_S <= duration <= MAX_DURATION_S:
        return f"shorter than {MIN_DURATION_S} s or longer than {MAX_DURATION_S:.0f} s"
    if len(text) > MAX_LETTERS_PER_S * duration:
        return "too many words for the audio"
    if len(text) < MIN_LETTERS_PER_S * (duration - SILENCE_S):
        return "too few words for the audio"
    return None


def select(lines: Sequence[Line], sounds: Path, language: str) -> tuple[list[Prompt], dict[str, list[str]]]:
    """The usable prompts among `lines`, and the names of the others by the reason to leave them out."""
    # The transcript file spells a few names in another case than the audio file.
    audio = {p.relative_to(sounds).with_suffix("").as_posix().lower(): p for p in sounds.rglob("*.wav")}
    copies = Counter(line.name.lower() for line in lines)
    prompts: list[Prompt] = []
    left_out: dict[str, list[str]] = {}
    for line in lines:
        path = audio.get(line.name.lower())
        said = spoken(line.name, line.text)
        if path is None:
            reason: str | None = "no audio"
        elif copies[line.name.lower()] > 1:
            reason = "two transcripts of one prompt"
        elif (reason := why_unusable(line.name, said, language)) is None:
            prompt = Prompt(line.name, line.raw_text, normalize(said, language), path, info(path).duration)
            reason = why_unlikely(prompt.text, prompt.duration)
        if reason:
            left_out.setdefault(reason, []).append(line.name)
        else:
            prompts.append(prompt)
    return prompts, left_out


def split_of(text: str) -> str:
    """The split of a sentence: decided by the sentence alone, so that no two splits share one."""
    place = int(hashlib.sha256(f"{SPLIT_SALT}:{text}".encode()).hexdigest()[:8], 16) / 2**32
    if place < TEST_SHARE:
        return "test"
    return "dev" if place < TEST_SHARE + DEV_SHARE else "train"


def write_corpus(prompts: Sequence[Prompt], source: Path, sounds: Path, language: str, folder: Path) -> None:
    """Copy the audio and write manifests, attribution and README into `folder`."""
    rows: dict[str, list[str]] = {split: [] for split in SPLITS}
    for prompt in prompts:
        target = Path("audio") / prompt.path.relative_to(sounds)
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(prompt.path, folder / target)
        row = {
            "audio": target.as_posix(),
            "duration": round(prompt.duration, 4),
            "text": prompt.text,
            "speaker": VOICES[language],
            "prompt": prompt.name,
            "raw_text": prompt.raw_text,
            "language": language,
        }
        rows[split_of(prompt.text)].append(json.dumps(row, ensure_ascii=False) + "\n")
    for split in SPLITS:
        write_text(folder / f"{split}.jsonl", "".join(rows[split]))
    write_text(folder / "ATTRIBUTION", attribution(source, language))
    write_text(folder / "README.md", readme(prompts, language))


def attribution(source: Path, language: str) -> str:
    terms = "CC-BY-3.0" if language == "ru" else "CC-BY-SA-3.0"
    heading = (
        f"Telephone prompts of Asterisk (asterisk-core-sounds-{language}), voice {VOICES[language]}.\n"
        f"{terms}. The audio is unchanged, transcripts are cleaned. What came with the sounds follows.\n"
    )
    texts = [p for pattern in ("copyright", "CREDITS*", "LICENSE*") for p in sorted(source.rglob(pattern))]
    distinct = dict.fromkeys(p.read_text(encoding="utf-8", errors="replace") for p in texts)
    return "\n".join([heading, *distinct])


def readme(prompts: Sequence[Prompt], language: str) -> str:
    return f"""# Telephone prompts, `{language}`

Made by `recipes/ivr_prompts/prepare.py --language {language}`. One voice, {VOICES[language]}, 8 kHz.
`train.jsonl`, `dev.jsonl` and `test.jsonl` share no sentence. `text` is normalized, `raw_text` is as
published, `prompt` is the prompt's name. Who spoke and under which license: `ATTRIBUTION`.

```
{summary(prompts)}
```
"""


def summary(prompts: Sequence[Prompt]) -> str:
    """A table of the splits: utterances, minutes, words, distinct words, share of words unseen in train."""
    known = {word for prompt in prompts if split_of(prompt.text) == "train" for word in prompt.text.split()}
    lines = [f"{'split':6}{'utterances':>11}{'minutes':>9}{'words':>7}{'distinct':>10}{'unseen':>8}"]
    for split in SPLITS:
        members = [prompt for prompt in prompts if split_of(prompt.text) == split]
        words = [word for prompt in members for word in prompt.text.split()]
        unseen = sum(word not in known for word in words) / max(1, len(words))
        minutes = sum(prompt.duration for prompt in members) / 60
        numbers = f"{len(members):11}{minutes:9.1f}{len(words):7}{len(set(words)):10}{unseen:8.1%}"
        lines.append(f"{split:6}{numbers}")
    return "\n".join(lines)


def say(message: str) -> None:
    click.echo(message, err=True)


def already_made(language: str, output: Path, overwrite: bool) -> bool:
    """Whether the corpus stands there already.

    Raises:
        ConfigError: something else stands there, which is never overwritten.
    """
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return False
    try:
        with (output / "train.jsonl").open(encoding="utf-8") as file:
            found = json.loads(file.readline())["language"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"{output}: is not a corpus of this recipe; choose another --output.") from None
    if found != language and not overwrite:
        raise ConfigError(f"{output}: holds '{found}', not '{language}'; choose another, or --overwrite.")
    return not overwrite


def prepare(language: str, output: Path, overwrite: bool) -> None:
    """Fetch, clean, split and write, or say that it was done before."""
    if already_made(language, output, overwrite):
        say(f"{output} is there already and complete; --overwrite makes it again")
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.download.") as temporary:
        source = fetch(language, Path(temporary).resolve())
        transcripts = find(source, f"core-sounds-{language}.txt*")
        opened = gzip.open if transcripts.suffix == ".gz" else open
        with opened(transcripts, "rt", encoding="utf-8") as file:
            lines = read_transcripts(file.read(), language)
        sounds = find(source, "hello-world.wav").parent
        prompts, left_out = select(lines, sounds, language)
        for reason, names in sorted(left_out.items(), key=lambda item: -len(item[1])):
            say(f"left out {len(names):3}: {reason}: {', '.join(names)}")
        with replacing_folder(output) as folder:
            write_corpus(prompts, source, sounds, language, folder)
    click.echo(summary(prompts))


@click.command(cls=Command, help=__doc__)
@click.option("--language", type=click.Choice(sorted(VOICES)), required=True)
@click.option("--output", type=click.Path(path_type=Path), help="Folder to write [default: data/ivr-LANGUAGE].")
@click.option("--overwrite", is_flag=True, help="Replace the folder if it exists.")
def main(language: str, output: Path | None, overwrite: bool) -> None:
    try:
        prepare(language, output or Path("data") / f"ivr-{language}", overwrite)
    except OSError as error:
        say(f"Error: {error.filename}: {error.strerror}; free some space or choose another --output.")
        sys.exit(1)


if __name__ == "__main__":
    main()
