"""What `speechxfer check` finds of planted defects, what it says about corpora as they are, and how fast it is.

    python -m scripts.bench.preflight --speech CORPUS/train.jsonl CORPUS/dev.jsonl \\
        --classes DIGITS/train.jsonl DIGITS/test.jsonl --unchanged data/ivr-it/train.jsonl,data/ivr-it/test.jsonl

Defects are planted into copies; `--speech` and `--classes` are also checked unchanged. Speed and memory are those of
a process of its own that reads the headers of `--lines` lines, and of a tenth of them; then it decodes them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import soundfile

import speechxfer as sx
from scripts.bench.machine import command, describe
from scripts.bench.planted_defects import Planted, plant_labels, plant_speech
from speechxfer.data.checks import KINDS, Report, Split, check
from speechxfer.storage import write_json

RESULTS = Path(__file__).parent / "results"
#: What is so by the numbers alone: whether it is a fault is for whoever made the corpus to say.
FACTS = ("duplicate-text", "text-in-both", "speaker-in-both", "imbalance")
_TIMED = """
import json, resource, sys, time
from pathlib import Path
from speechxfer.data.checks import Split, check
if __name__ == "__main__":
    path, quick, workers = sys.argv[1], sys.argv[2] == "quick", int(sys.argv[3])
    started = time.perf_counter()
    report = check([Split.from_file(path)], quick=quick, workers=workers)
    seconds = time.perf_counter() - started
    # Not getrusage, which counts what the process was before it became this one.
    own = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    most = max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    print(json.dumps({"seconds": seconds, "own_mb": own / 1e3, "largest_process_mb": most / 1e3,
                      "findings": len(report.findings)}))
"""


def found_of(planted: Planted, report: Report) -> dict[str, dict[str, int]]:
    """How many of the planted defects were found, by kind."""
    reported = {(Path(finding.file).name, finding.kind, line) for finding in report.findings for line in finding.lines}
    found: dict[str, dict[str, int]] = {}
    for file, kinds in planted.items():
        for kind, lines in kinds.items():
            hits = sum((file, kind, line) in reported for line in lines)
            found[kind] = {"planted": len(lines), "found": hits}
    return found


def unchanged(paths: Sequence[str]) -> dict[str, Any]:
    """What is said of a corpus as it is, and which share of its lines a finding that may be false names."""
    report = check([Split.from_file(path) for path in paths])
    lines = sum(report.lines.values())
    kinds = Counter(finding.kind for finding in report.findings)
    named = {(one.file, line) for one in report.findings if one.kind not in FACTS for line in one.lines}
    return {
        "corpus": Path(paths[0]).absolute().parent.name,
        "lines": lines,
        "findings": dict(sorted(kinds.items())),
        "share_of_findings": round(len(report.findings) / lines, 5),
        "share_of_lines": round(len(named) / lines, 5),
    }


def write_small_files(folder: Path, lines: int) -> Path:
    """So many files of one second each, no two alike, and the manifest that lists them."""
    folder.mkdir()
    noise = (0.1 * np.random.default_rng(0).normal(size=8_000 + lines).clip(-5, 5)).astype(np.float32)
    rows = []
    for number in range(lines):
        name = f"{number:06}.wav"
        soundfile.write(folder / name, noise[number : number + 8_000], 8_000, "PCM_16")
        rows.append({"audio": name, "text": f"word {number // 500} {number % 500}"})
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def timed(path: Path, lines: int, form: str, workers: int) -> dict[str, Any]:
    """Seconds and memory of a process that does nothing else."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:  # a file, which processes can import again
        script.write(_TIMED)
        script.flush()
        arguments = [sys.executable, script.name, str(path), form, str(workers)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return {
        "form": form,
        "lines": lines,
        "workers": workers,
        "lines_a_second": round(lines / result["seconds"]),
        "own_mb": round(result["own_mb"]),
        "largest_process_mb": round(result["largest_process_mb"]),
        "findings": result["findings"],
    }


@click.command()
@click.option("--speech", nargs=2, metavar="TRAIN DEV", help="A corpus of sentences, wide-band, with speakers.")
@click.option("--classes", nargs=2, metavar="TRAIN TEST", help="A corpus with labels.")
@click.option("--unchanged", "others", multiple=True, metavar="TRAIN,TEST", help="Others to look at as they are.")
@click.option("--count", default=30, show_default=True, help="Defects of each kind.")
@click.option("--lines", default=100_000, show_default=True, help="Of the corpus that is timed; 0 times nothing.")
@click.option("--workers", default=None, type=int, help="Processes that decode; as many as cores by default.")
@click.option("--output", type=click.Path(path_type=Path), help="Default: results/preflight.json; - writes nothing.")
def main(
    speech: tuple[str, str] | None,
    classes: tuple[str, str] | None,
    others: tuple[str, ...],
    count: int,
    lines: int,
    workers: int | None,
    output: Path | None,
) -> None:
    record: dict[str, Any] = {"planted": {}, "unchanged": [], "speed": []}
    for plant, pair in ((plant_speech, speech), (plant_labels, classes)):
        if pair:
            with tempfile.TemporaryDirectory() as name:
                planted = plant(sx.Manifest.read(pair[0]), sx.Manifest.read(pair[1]), Path(name), count)
                report = check([Split.from_file(Path(name) / file) for file in planted], workers=workers)
            record["planted"] |= found_of(planted, report)
    for kind, hits in record["planted"].items():
        click.echo(f"{kind:<18} {hits['found']:3} of {hits['planted']} found")
    if record["planted"]:
        record["kinds_not_planted"] = sorted(KINDS.keys() - record["planted"].keys())
    for paths in [*(pair for pair in (speech, classes) if pair), *(pair.split(",") for pair in others)]:
        record["unchanged"].append(unchanged(paths))
        click.echo(json.dumps(record["unchanged"][-1]))
    if lines:
        with tempfile.TemporaryDirectory() as name:
            for size in (lines // 10, lines):
                path = write_small_files(Path(name) / str(size), size)
                cores = workers or describe()["cores"]
                for form, number in (("quick", cores), ("full", 1), ("full", cores)):
                    record["speed"].append(timed(path, size, form, number))
                    click.echo(json.dumps(record["speed"][-1]))
    if str(output) != "-":
        write_json(output or RESULTS / "preflight.json", record | {"machine": describe(), "command": command()})


if __name__ == "__main__":
    main()
