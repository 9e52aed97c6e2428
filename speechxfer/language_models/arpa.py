"""ARPA files, plain or gzipped."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from speechxfer.errors import DataError
from speechxfer.language_models.ngrams import Gram, Ngrams
from speechxfer.storage import replacing

_BEGINNING = "\\data\\"
#: Most lines before that.
_COMMENTS = 1000
_COUNT = re.compile(r"ngram (\d+)\s*=\s*(\d+)")


def is_arpa(path: Path) -> bool:
    """Whether a file is an ARPA file, and no text: by its name, or because it begins like one."""
    if ".arpa" in path.name.lower():
        return True
    with contextlib.suppress(OSError, EOFError, zlib.error, UnicodeDecodeError):
        return any(line.strip() == _BEGINNING for line in itertools.islice(_lines(path), _COMMENTS))
    return False


def read_arpa(path: Path) -> Ngrams:
    """Read a model.

    Raises:
        DataError: missing, not an ARPA file, or damaged; with the line.
    """
    try:
        return _Reader(path, _lines(path)).read()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path}: cannot be read as a language model ({reason}); wanted an ARPA file, plain or gzipped") from error  # fmt: skip  # noqa: E501


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file, gunzipped where it is gzipped, whatever its name."""
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rt", encoding="utf-8") if is_gzip else path.open(encoding="utf-8") as lines:
        yield from lines


class _Reader:
    def __init__(self, path: Path, lines: Iterator[str]) -> None:
        self.path, self.number = path, 0
        self.lines = lines

    def read(self) -> Ngrams:
        expected = self._header()
        probabilities: list[dict[Gram, float]] = []
        backoffs: dict[Gram, float] = {}
        for order, count in enumerate(expected, 1):
            if (line := self._line()) != f"\\{order}-grams:":
                raise self._error(f"is {line!r:.60}; wanted \\{order}-grams:")
            grams = dict(self._gram(order, backoffs) for _ in range(count))
            if len(grams) != count:
                raise self._error(f"the {order}-grams until here occur more than once; wanted {count} different ones")
            probabilities.append(grams)
        if (line := self._line()) != "\\end\\":
            raise self._error(f"is {line!r:.60}; wanted \\end\\ after {expected[-1]} {len(expected)}-grams")
        return Ngrams(tuple(probabilities), backoffs)

    def _header(self) -> list[int]:
        """How many n-grams there are of each order; what stands before is a comment."""
        while self._line() != _BEGINNING:
            if self.number > _COMMENTS:
                raise self._error("there is no \\data\\ until here, so this is no ARPA file")
        counts: list[int] = []
        for text in self.lines:
            self.number += 1
            line = text.strip()
            if found := _COUNT.fullmatch(line):
                if int(found[1]) != len(counts) + 1:
                    raise self._error(f"is {line!r:.60}; wanted the number of {len(counts) + 1}-grams")
                counts.append(int(found[2]))
            elif counts and not line:
                return counts
        raise self._error("the file ends before its n-grams; download or train it again")

    def _line(self) -> str:
        """The next line with content."""
        for text in self.lines:
            self.number += 1
            if line := text.strip():
                return line
        raise self._error("the file ends too early; download or train it again")

    def _gram(self, order: int, backoffs: dict[Gram, float]) -> tuple[Gram, float]:
        line = self._line()
        values = line.split()
        try:
            probability, backoff = float(values[0]), float(values[order + 1]) if len(values) == order + 2 else 0.0
        except ValueError:
            values = []
        if len(values) not in (order + 1, order + 2) or not (probability <= 0.0 and math.isfinite(backoff)):
            raise self._error(f"is {line!r:.80}; wanted a logarithm, {order} words, and perhaps another logarithm")
        gram = tuple(values[1 : order + 1])
        if backoff:
            backoffs[gram] = backoff
        return gram, probability

    def _error(self, problem: str) -> DataError:
        return DataError(f"{self.path}:{self.number}: {problem}")


def write_arpa(grams: Ngrams, path: Path) -> None:
    """Write a model, gzipped where the name ends with .gz; whole or not at all.

    Raises:
        StorageError: it could not be written.
    """
    with replacing(path) as temporary:
        if path.suffix == ".gz":
            with gzip.open(temporary, "wt", encoding="utf-8", compresslevel=6) as file:
                file.writelines(arpa_lines(grams))
        else:
            with temporary.open("w", encoding="utf-8") as file:
                file.writelines(arpa_lines(grams))


def arpa_lines(grams: Ngrams) -> Iterator[str]:
    """The lines of an ARPA file."""
    yield f"{_BEGINNING}\n"
    for order, count in enumerate(grams.counts(), 1):
        yield f"ngram {order}={count}\n"
    for order, probabilities in enumerate(grams.probabilities, 1):
        yield f"\n\\{order}-grams:\n"
        for gram in sorted(probabilities):
            backoff = f"\t{grams.backoffs[gram]:.7f}" if gram in grams.backoffs else ""
            yield f"{probabilities[gram]:.7f}\t{' '.join(gram)}{backoff}\n"
    yield "\n\\end\\\n"
