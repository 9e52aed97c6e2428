"""Checks of one split: of each line, and of all lines once they are read."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from speechxfer.data import columns
from speechxfer.data.characters import JOINERS
from speechxfer.data.checks import writing
from speechxfer.data.checks.finding import Finding
from speechxfer.data.checks.lines import Lines
from speechxfer.data.checks.sound import Sound
from speechxfer.data.manifest import Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import frames_needed
from speechxfer.errors import DataError
from speechxfer.languages import language_code

#: Foreign letters in more than this number and fraction of the lines are regarded as usual in the corpus.
_USUAL_LINES, _USUAL_FRACTION = 2, 0.05
#: What programs write for a missing text or name.
_NO_TEXT = frozenset(("nan", "none", "null", "n/a", "<na>", "#n/a"))
_NO_NAME = frozenset(("None", "NULL", "null", "N/A", "NA"))


@dataclass(frozen=True)
class Limits:
    """What counts as normal.

    Attributes:
        shortest_s, longest_s: of an utterance.
        normalizer: normalizer of texts before characters are counted and sentences compared.
        scoring_normalizer: normalizer before errors are counted, if different.
        frame_rate: of the encoder, per second, for CTC; None for other heads.
    """

    shortest_s: float = 0.1
    longest_s: float = 30.0
    normalizer: str = "basic"
    scoring_normalizer: str = ""
    frame_rate: float | None = 50.0


class Examiner:
    """Checks the lines of one split in a stream.

    Args:
        file: the manifest, as it was named.
        limits: what counts as normal.
        known: characters of the training texts; None for the training manifest itself.
        before: of a manifest in several files, the lines before each of them.
    """

    def __init__(
        self, file: str, limits: Limits, known: Counter[str] | None, before: Mapping[str, int] | None = None
    ) -> None:
        self.lines = Lines(file, before)
        self._limits, self._known = limits, known
        self._normalizer = TextNormalizer(limits.normalizer)
        self._normalize = functools.lru_cache(maxsize=1024)(self._normalizer)
        self._scored = TextNormalizer(limits.scoring_normalizer or limits.normalizer)
        self._unknown: dict[int, str] = {}
        self._mixed: dict[int, writing.Mixture] = {}
        #: Lines with dotless or dotted I, which only Turkic languages have, and lines with a capital I.
        self._turkish: list[int] = []
        self._capital_i: list[int] = []
        self._unused: defaultdict[str, list[int]] = defaultdict(list)
        self._unknown_languages: defaultdict[str, list[int]] = defaultdict(list)

    def refused(self, error: DataError) -> None:
        """Record a line that is not an utterance."""
        where, _, what = str(error).partition(": ")
        self.lines.found("line", self.lines.number(where), what)

    def add(self, utterance: Utterance, sound: Sound) -> None:
        """Check the columns of a line and its audio."""
        text = None if utterance.text is None else self._normalize(utterance.text)
        line = self.lines.add(utterance, sound, text)
        faults = [*sound.faults, *self._length(sound), *_placeholders(utterance)]
        if utterance.text is not None and text is not None:
            faults += [*writing.faults(utterance.text), *self._text(utterance.text, text, sound)]
            self._note_letters(line, utterance.text)
            self.lines.characters.update(text)
            if self._known is not None and (unknown := "".join(sorted(set(text) - self._known.keys()))):
                self._unknown[line] = unknown
        for kind, what in faults:
            self.lines.found(kind, line, what)
        for name in utterance.extra:
            if columns.plain(name) in columns.UNUSED:
                self._unused[name].append(line)
        if (language := str(utterance.extra.get("language") or "")) and language_code(language) is None:
            self._unknown_languages[language].append(line)

    def finish(self) -> list[Finding]:
        """Checks that need all lines; findings about single lines are added to `lines`."""
        self._check_unknown()
        return [*self._check_mixed(), *self._check_turkish(), *self._check_columns()]

    def _length(self, sound: Sound) -> Iterator[tuple[str, str]]:
        seen = f"{sound.duration_s:.2f} s long"
        if sound.duration_s > self._limits.longest_s:
            yield "too-long", f"{seen}; at most {self._limits.longest_s:g} s are wanted"
        elif 0 < sound.duration_s < self._limits.shortest_s:
            yield "too-short", f"{seen}; at least {self._limits.shortest_s:g} s are wanted"

    def _text(self, written: str, text: str, sound: Sound) -> Iterator[tuple[str, str]]:
        rate = self._limits.frame_rate
        if not text:
            yield "empty-text", f"text without a letter or digit (as {self._limits.normalizer!r} writes it)"
        elif rate is not None and sound.duration_s:
            # Joiners are silent, so they do not count.
            needed = frames_needed([symbol for symbol in text if symbol not in JOINERS])
            there = int(sound.duration_s * rate)
            if needed > there:
                frames = f"{sound.duration_s:.2f} s give {there} frames, but its characters need {needed}"
                yield "too-few-frames", f"text too long for its audio: {frames}"
        for normalizer in dict.fromkeys((self._normalizer, self._scored)):
            if word := normalizer.damaged(written):
                yield "normalizer", f"{normalizer.name} writes {word!r} as {normalizer(word)!r}, without its marks"

    def _note_letters(self, line: int, text: str) -> None:
        if mixture := writing.mixture(text):
            self._mixed[line] = mixture
        if "ı" in text or "İ" in text:  # noqa: RUF001
            self._turkish.append(line)
        if "I" in text:
            self._capital_i.append(line)

    def _check_unknown(self) -> None:
        """Characters that the training text lacks, with their fraction in this split."""
        total = self.lines.characters.total()
        for line, unknown in self._unknown.items() if self._known else ():
            fraction = sum(self.lines.characters[character] for character in unknown) / total
            what = f"{unknown!r} does not occur in the training text ({fraction:.2%} of the characters here)"
            self.lines.found("unknown-character", line, what)

    def _check_mixed(self) -> Iterator[Finding]:
        """Words in two alphabets: one finding for letters that are usual in the corpus, otherwise one for each line."""
        counts = Counter(letter for mixture in self._mixed.values() for letter in mixture.foreign)
        least = max(_USUAL_LINES, _USUAL_FRACTION * len(self.lines))
        usual = {letter for letter, count in counts.items() if count > least}
        habits: list[int] = []
        for line, mixture in self._mixed.items():
            if mixture.foreign <= usual:
                habits.append(line)
            else:
                self.lines.found("mixed-scripts", line, f"the word {mixture.word!r} has {' and '.join(mixture.scripts)} letters")  # fmt: skip  # noqa: E501
        if habits:
            letters = ", ".join(f"{letter} ({counts[letter]})" for letter in sorted(usual))
            first = self._mixed[habits[0]]
            what = f"{len(habits)} of {len(self.lines)} lines have words like {first.word!r} in {' and '.join(first.scripts)} letters: {letters}"  # fmt: skip  # noqa: E501
            yield Finding("mixed-scripts", self.lines.file, tuple(habits), what)

    def _check_turkish(self) -> Iterator[Finding]:
        if self._turkish and self._capital_i and self._limits.normalizer == "basic":
            what = f"{len(self._turkish)} lines have ı or İ and {len(self._capital_i)} the capital I, which basic writes as i"  # fmt: skip  # noqa: E501, RUF001
            yield Finding("turkish", self.lines.file, tuple(self._capital_i), what)

    def _check_columns(self) -> Iterator[Finding]:
        if self._unused:
            lines = sorted({line for some in self._unused.values() for line in some})
            names = ", ".join(sorted(self._unused))
            count = f"{len(lines)} of {len(self.lines)} lines"
            what = f"{count} have columns that have no effect on the audio: {names}"
            yield Finding("unused-column", self.lines.file, tuple(lines), what)
        if self._unknown_languages:
            lines = sorted({line for some in self._unknown_languages.values() for line in some})
            names = ", ".join(f"{name!r} ({len(some)})" for name, some in self._unknown_languages.items())
            what = f"{len(lines)} of {len(self.lines)} lines have an unknown language: {names:.200}"
            yield Finding("language", self.lines.file, tuple(lines), what)


def _placeholders(utterance: Utterance) -> Iterator[tuple[str, str]]:
    """Words that programs write where nothing is known."""
    if utterance.text is not None and utterance.text.strip().casefold() in _NO_TEXT:
        yield "stand-in", f"the text is {utterance.text.strip()!r}, which programs write for a missing one"
    for column, value in (("label", utterance.label), ("speaker", utterance.speaker)):
        if value in _NO_NAME:
            yield "stand-in", f"the {column} is {value!r}, which programs write for a missing one"
