"""Fuzz one target in this process: `python -m scripts.fuzz.one_target NAME RUNS SECONDS FINDINGS`.

Inputs that break the contract are written to the folder FINDINGS, one for each cause, with what happened beside it
(`.why`); fuzzing goes on. What kills the process or takes too long ends it, and libFuzzer writes the input there. Each
longest time of an input so far goes to standard error.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["speechxfer"], enable_loader_override=False):
    from scripts.fuzz.contract import Target, violation
    from scripts.fuzz.data_files import DATA_FILES
    from scripts.fuzz.mutations import mutated
    from scripts.fuzz.shard_files import SHARD_FILES

#: Seconds and bytes that one input may take.
_MOST_S, _MOST_MB = 10, 3000
_SLOW_S = 1.0
_LONGEST = 8192


class _Fuzzing:
    """Runs of one target, and what they found."""

    def __init__(self, target: Target, folder: Path, findings: Path) -> None:
        self.target, self.folder, self.findings = target, folder, findings
        self.runs = 0
        self.slowest = 0.0
        self.found: dict[str, Path] = {}

    def one(self, data: bytes) -> None:
        """Run one input."""
        self.runs += 1
        started = time.perf_counter()
        found = violation(self.target, data, self.folder)
        seconds = time.perf_counter() - started
        if seconds > self.slowest:
            self.slowest = seconds
            print(f"slowest: {seconds:.3f} s", file=sys.stderr)
            if seconds > _SLOW_S and self.runs > 1:  # the first one imports
                self._keep(f"slow {seconds:.0f}", f"took {seconds:.1f} s", data)
        if found:
            self._keep(found.key, found.what, data)

    def _keep(self, key: str, what: str, data: bytes) -> None:
        """Write the first and the shortest input of each cause."""
        if key in self.found and self.found[key].stat().st_size <= len(data):
            return
        name = re.sub(r"[^\w.]+", "-", f"{self.target.name}-{key}")[:150]
        self.found[key] = self.findings / name
        self.found[key].write_bytes(data)
        self.found[key].with_name(f"{name}.why").write_text(what, encoding="utf-8", errors="backslashreplace")

    def mutate(self, data: bytes, size: int, seed: int) -> bytes:
        """An input from another one: by values two times of three, else by bytes."""
        random = Random(seed)
        found = mutated(data, self.target.syntax, random) if random.random() < 0.67 else None
        if found is not None and len(found) <= size:
            return found
        changed: bytes = atheris.Mutate(data, size)
        return changed


def main() -> None:
    """Fuzz until the inputs or the seconds are used up."""
    name, runs, seconds, findings = sys.argv[1:5]
    target = _found(name)
    fast = "/dev/shm" if Path("/dev/shm").is_dir() else None
    folder = Path(tempfile.mkdtemp(dir=fast, prefix="fuzz-"))
    corpus, kept = folder / "corpus", Path(findings)
    corpus.mkdir()
    kept.mkdir(parents=True, exist_ok=True)
    (folder / "files").mkdir()
    seeds = [*target.seeds(folder / "files"), *(path.read_bytes() for path in regressions(target.name))]
    for number, seed in enumerate(seeds):
        (corpus / str(number)).write_bytes(seed)
    (folder / "words").write_text("\n".join(_words(seeds)), encoding="utf-8")
    fuzzing = _Fuzzing(target, folder / "files", kept)
    options = [
        f"-runs={runs}", f"-max_total_time={seconds}", f"-timeout={_MOST_S}", f"-rss_limit_mb={_MOST_MB}",
        f"-max_len={_LONGEST}",
        f"-artifact_prefix={kept}/{target.name}-", f"-dict={folder / 'words'}", "-seed=24", "-print_final_stats=1",
    ]  # fmt: skip
    mutator = {} if target.syntax == "bytes" else {"custom_mutator": fuzzing.mutate}
    atheris.Setup([sys.argv[0], *options, str(corpus)], fuzzing.one, **mutator)
    atheris.Fuzz()


def _found(name: str) -> Target:
    """The target of this name; models are imported only for theirs, because that takes seconds."""
    if found := [target for target in (*DATA_FILES, *SHARD_FILES) if target.name == name]:
        return found[0]
    with atheris.instrument_imports(include=["speechxfer"], enable_loader_override=False):
        from scripts.fuzz.model_files import MODEL_FILES
    return next(target for target in MODEL_FILES if target.name == name)


def regressions(name: str) -> list[Path]:
    """Inputs that once broke a target's contract."""
    return sorted(Path(__file__).parents[2].joinpath("tests", "fuzz", "found", name).glob("*"))


def _words(seeds: list[bytes]) -> list[str]:
    """The words of texts, as lines of libFuzzer's dictionary."""
    words = {
        word for seed in seeds for word in re.findall(rb"[A-Za-z_]{2,30}|-?\d+\.?\d*|[<>=\\/!]+[a-z]+", seed[:20_000])
    }
    return [f'"{word.decode().replace(chr(92), chr(92) * 2)}"' for word in sorted(words)[:400]]


if __name__ == "__main__":
    main()
