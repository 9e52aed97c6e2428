"""Writes docs/performance.md and its picture from the figures in results/; what has no figures is open.

    python -m scripts.bench.performance_page

The words are in performance_template.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import click

from scripts.bench.machine import describe_briefly
from scripts.bench.performance_chart import Bar, draw
from speechxfer.storage import write_text

HERE = Path(__file__).parent
TEMPLATE = HERE / "performance_template.md"
NOTE = "<!-- Written by scripts/bench/performance_page.py from scripts/bench/results; edit those instead. -->"
OPEN = "open"
SUBWORDS = ("subwords_ivr_prompts", "subwords_accented_english")
Record = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A training that the page shows, measured or not."""

    job: str
    peer: str
    #: Name of the record in results/.
    record: str
    #: How many times faster it is meant to be.
    asked: float | None = None
    on_gpu: bool = False


_WHISPER, _ENGLISH, _CONFORMER, _HOURS = (
    "Whisper tiny.en, telephone prompts",
    "wav2vec2-base, accented English",
    "FastConformer of parakeet-ctc-0.6b's shape, accented English",
    "wav2vec2-base, 2.9 h",
)
ENTRIES = (
    Entry(f"{_WHISPER}: head only", "Trainer, padded to 30 s", "train_whisper-head-padded", asked=100),
    Entry(f"{_WHISPER}: top two layers", "Trainer, padded to 30 s", "train_whisper-top2-padded", asked=12),
    Entry(f"{_WHISPER}: head only", "Trainer, unpadded", "train_whisper-head-unpadded", asked=10),
    Entry(
        "Whisper tiny.en, own decoder, English prompts",
        "Seq2SeqTrainer, padded to 30 s",
        "train_whisper-decoder",
        asked=10,
    ),
    Entry(f"{_ENGLISH}: head only", "Trainer", "train_w2v2-head", asked=9),
    Entry(f"{_ENGLISH}: top two layers", "Trainer", "train_w2v2-top2", asked=3),
    Entry(f"{_ENGLISH}: all but convolutions", "Trainer", "train_w2v2-all", asked=1.3),
    Entry(f"{_CONFORMER}: head only", "Trainer", "train_fastconformer-head", asked=15),
    Entry(f"{_CONFORMER}: top two layers", "Trainer", "train_fastconformer-top2", asked=4),
    Entry(f"{_HOURS}: head only", "Trainer, bf16", "gpu_w2v2-head", asked=20, on_gpu=True),
    Entry(f"{_HOURS}: top two layers", "Trainer, bf16", "gpu_w2v2-top2", asked=6, on_gpu=True),
    Entry(f"{_HOURS}: all but convolutions", "Trainer, bf16", "gpu_w2v2-all", asked=1.5, on_gpu=True),
)


def load(results: Path) -> dict[str, Record]:
    """All records by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))}


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, or the word that there is nothing yet."""
    rows = list(rows)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) if rows else f"{OPEN.capitalize()}."


def trainings(records: dict[str, Record]) -> str:
    header = (
        "job",
        "where",
        "peer",
        "asked",
        "times faster",
        "seconds, ours / peer",
        "dev WER, ours / peer",
        "peer ran",
    )
    return markdown_table(header, [_training(entry, records.get(entry.record)) for entry in ENTRIES])


def _training(entry: Entry, record: Record | None) -> list[str]:
    asked = f"{entry.asked:g}" if entry.asked else ""
    if record is None:
        return [entry.job, "GPU" if entry.on_gpu else "CPU", entry.peer, asked, *[OPEN] * 4]
    ours, peer, settings = record["ours"], record["peer"], record["settings"]
    ratios = record["ratios"]
    spread = f" ({min(ratios):.1f} to {max(ratios):.1f})" if len(ratios) > 1 else ""
    # Where weights are random, what is recognized says nothing.
    rates = [f"{side['wer']:.3f}" if "wer" in side else "not run" for side in (ours, peer)]
    ran = f"{peer['epochs']} of {settings['epochs']} epochs, extrapolated" if peer["extrapolated"] else "all epochs"
    return [
        entry.job, _where(record), entry.peer, asked, f"**{record['ratio']:.1f}**{spread}",
        f"{ours['seconds']:,.1f} / {peer['seconds']:,.1f}",
        " / ".join(rates) if settings["family"] == "whisper" else "random weights", ran,
    ]  # fmt: skip


def _where(record: Record) -> str:
    machine = record["machine"]
    return str(machine["gpu"]) if record["device"] != "cpu" else f"{machine['cores']} cores"


def errors(records: dict[str, Record]) -> str:
    header = ("job", "peer", "trained on", "measured on", "seeds", "WER, ours / Trainer", "CER, ours / Trainer")
    rows = []
    for entry in (entry for entry in ENTRIES if not entry.on_gpu):
        if record := records.get(entry.record.replace("train_", "errors_", 1)):
            both = [f"{record[rate]['ours']:.3f} / {record[rate]['peer']:.3f}" for rate in ("wer", "cer")]
            trained, measured = f"{record['utterances']} prompts", f"{record['words']} words"
            rows.append([entry.job, entry.peer, trained, measured, str(len(record["runs"])), *both])
    return markdown_table(header, rows)


def memory(records: dict[str, Record]) -> str:
    found = [(entry, records[entry.record]) for entry in ENTRIES if entry.on_gpu and entry.record in records]
    peaks = [(entry, [record[side]["peak_memory_gb"] for side in ("ours", "peer")]) for entry, record in found]
    rows = [[entry.job, *(f"{peak['gpu']:.2f}" for peak in both)] for entry, both in peaks if "gpu" in both[0]]
    return markdown_table(("job", "ours, GB", "Trainer, GB"), rows)


def recognition(record: Record | None) -> str:
    header = ("precision", "audio", "ours, s", "pipeline, s", "ours, times real time", "pipeline", "times faster")
    rows = [
        [precision, f"{record['audio_s'] / 3600:.1f} h", f"{found['ours_s']:.2f}", f"{found['peer_s']:.2f}",
         f"{1 / found['ours_real_time_factor']:,.0f}", f"{1 / found['peer_real_time_factor']:,.0f}",
         f"**{found['ratio']:.1f}**"]
        for precision, found in record["precisions"].items()
    ] if record else []  # fmt: skip
    return markdown_table(header, rows)


def frozen_prefix(record: Record | None) -> str:
    header = ("frozen", "audio", "s", "times real time", "asked")
    rows = [
        [part, f"{record['audio_s'] / 3600:.1f} h", f"{found['seconds']:.2f}",
         f"**{found['times_real_time']:,.0f}**", "10,000"]
        for part, found in record["parts"].items()
    ] if record else []  # fmt: skip
    return markdown_table(header, rows)


def padding(record: Record | None) -> str:
    header = ("corpus", "seconds a step", "utterances a step", "ours", "`group_by_length`", "random order")
    rows = [
        [corpus["corpus"], f"{row['batch_s']:g}", str(row["utterances_a_step"]),
         *(f"{row[key]:.1%}" for key in ("ours", "group_by_length", "random"))]
        for corpus in (record["corpora"] if record else ()) for row in corpus["rows"]
    ]  # fmt: skip
    return markdown_table(header, rows)


def stride(record: Record | None) -> str:
    header = ("frames", "training steps, s", "dev WER", "test WER", "test CER")
    rows = [
        [name, f"{run['seconds']['training']:.0f}", f"{run['dev']['wer']:.3f}", f"{run['test']['wer']:.3f}",
         f"{run['test']['cer']:.3f}"]
        for name, run in (record["variants"] if record else {}).items()
    ]  # fmt: skip
    return markdown_table(header, rows)


def vocabularies(records: Sequence[Record]) -> str:
    header = (
        "corpus",
        "frames a second",
        "vocabulary",
        "utterances that fit",
        "labels",
        "processor seconds",
        "test WER",
        "test CER",
    )
    rows = [
        [record["corpus"], f"{50 / run['stride']:g}", run.get("units") or f"{run['vocabulary_size']} pieces",
         f"{run['usable']} of {run['utterances']}", f"{run['labels']:,}",
         f"{run['cpu_s']:.0f}" if "cpu_s" in run else "",
         f"{run['test']['wer']:.3f}", f"{run['test']['cer']:.3f}"]
        for record in records for run in record["runs"]
    ]  # fmt: skip
    return markdown_table(header, rows)


def inference(record: Record | None) -> str:
    """Engines by rows: speed, ratio and error rate on utterances, and on a long recording."""
    columns = {"speed": ".1f", "clock_speed": ".1f", "ratio": ".2f", "wer": ".3f"}
    kinds = record["kinds"] if record else {}
    measured = [name for name in columns if any(name in row for kind in kinds.values() for row in kind["rows"])]
    titles = {"clock_speed": "by the clock", "ratio": "ratio", "wer": "WER"}
    header = ["engine", *(titles.get(name, kind) for kind in ("utterances", "long recording") for name in measured)]
    found: dict[str, dict[str, list[str]]] = {}
    for kind, one in kinds.items():
        for row in one["rows"]:
            figures = [format(row[name], columns[name]) for name in measured]
            figures[measured.index("ratio")] = f"**{row['ratio']:.2f}**"
            found.setdefault(row["name"], {})[kind] = figures
    none = [""] * len(measured)
    return markdown_table(header, [[name, *by.get("short", none), *by.get("long", none)] for name, by in found.items()])


def measured_on(record: Record | None) -> str:
    """How much was transcribed, by what."""
    if record is None:
        return f"{OPEN.capitalize()}."
    short, long = record["kinds"]["short"], record["kinds"]["long"]
    words = [max(row["words"] for row in kind["rows"]) for kind in (short, long)]
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    whole = (
        f"{short['count']} utterances ({short['audio_s']:.0f} s, {words[0]} words), and a recording of "
        f"{long['audio_s'] / 60:.1f} minutes ({words[1]} words)"
    )
    part = ""
    if (less := short.get("part", short))["count"] < short["count"]:
        minutes = long["part"]["audio_s"] / 60
        part = (
            f"; engines that are less than ten times as fast as speech, on {less['count']} of these utterances chosen "
            f"at random and the first {minutes:.1f} minutes, with their ratios to the reference on the same"
        )
    return f"{whole}{part}; {versions}"


def page(records: dict[str, Record], picture: str) -> str:
    """The whole page."""
    compared = [entry.record.replace("train_", "errors_", 1) for entry in ENTRIES if not entry.on_gpu]
    names = [
        *(entry.record for entry in ENTRIES),
        *compared,
        "gpu_recognition",
        "gpu_frozen-prefix",
        "padding",
        "frame_stride",
        "peers_inference",
        *SUBWORDS,
    ]
    measured = [records[name] for name in names if name in records]
    commands = [*dict.fromkeys(record["command"] for record in measured), "python -m scripts.bench.performance_page"]
    machines = dict.fromkeys(f"- {describe_briefly(record['machine'])}" for record in measured)
    features = records.get("unpadded_features")
    words = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        picture=picture,
        trainings=trainings(records),
        unpadded=f"{features['ratio']:.1f}" if features else "many",
        errors=errors(records),
        memory=memory(records),
        recognition=recognition(records.get("gpu_recognition")),
        inference=inference(records.get("peers_inference")),
        measured_on=measured_on(records.get("peers_inference")),
        frozen_prefix=frozen_prefix(records.get("gpu_frozen-prefix")),
        padding=padding(records.get("padding")),
        stride=stride(records.get("frame_stride")),
        vocabularies=vocabularies([records[name] for name in SUBWORDS if name in records]),
        commands="\n".join(commands),
        machines="\n".join(machines) or f"{OPEN.capitalize()}.",
    )
    return f"{NOTE}\n\n{words}"


def bars(records: dict[str, Record]) -> list[Bar]:
    """What the picture shows: all that is measured, in the order of the page."""
    found = [
        Bar(f"{entry.job}\nagainst {entry.peer}, {_where(record)}", record["ratio"], entry.asked, entry.on_gpu)
        for entry in ENTRIES
        if (record := records.get(entry.record))
    ]
    if spoken := records.get("gpu_recognition"):
        for precision, figures in spoken["precisions"].items():
            label = f"wav2vec2-base, recognition in {precision}\nagainst pipeline, {_where(spoken)}"
            found.append(Bar(label, figures["ratio"], None, on_gpu=True))
    return found


@click.command()
@click.option("--results", type=click.Path(path_type=Path), default=HERE / "results", help="Folder with the figures.")
@click.option("--output", type=click.Path(path_type=Path), default=HERE.parents[1] / "docs", help="Folder to write to.")
def main(results: Path, output: Path) -> None:
    records = load(results)
    picture = Path("images") / "performance.png"
    draw(bars(records), output / picture)
    write_text(output / "performance.md", page(records, picture.as_posix()))


if __name__ == "__main__":
    main()
