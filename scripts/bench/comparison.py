"""A job measured on both sides in turn, several times, and the record of it that the performance page reads."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from scripts.bench import sides
from scripts.bench.jobs import Job, Row
from scripts.bench.machine import command, describe
from speechxfer.data.batching import steps
from speechxfer.data.manifest import Manifest

#: What the figures hold and what they leave out.
COUNTED = {
    "ours": "decoding, frozen layers of train, and all optimizer steps (prefix + training); "
    "not building the model, dev decoding or writing checkpoints",
    "peer": "Trainer.train(), extrapolated to all epochs where fewer were run; not decoding, feature extraction "
    "(prepare_s) or building the model",
}


def peer_batch(manifest: Manifest, row: Row) -> int:
    """Utterances a step of the peer, so that an epoch has about as many steps as ours."""
    durations = [utterance.duration or 0.0 for utterance in manifest]
    return max(1, round(len(durations) / len(steps(durations, row.batch_s, seed=1, epoch=0))))


def measure(
    job: Job, *, rounds: int, only: sides.Side | None, full_peer: bool, say: Callable[[str], None]
) -> dict[str, Any]:
    """Both sides by turns, each round with a seed of its own; with `full_peer` the peer's whole run once more."""
    found: list[dict[str, Any]] = []
    for number in range(1, rounds + 1):
        outcome: dict[str, Any] = {"seed": number}
        names: Sequence[sides.Side] = ("ours", "peer") if only is None else (only,)
        for side in names:
            folder = str(Path(job.output) / f"round{number}-{side}")
            outcome[side] = sides.run(side, replace(job, seed=number, output=folder))
            say(f"round {number}, {side}: {_told(outcome[side])}")
        if "peer" in outcome:
            _extrapolate(outcome["peer"], job.row.epochs)
            job = replace(job, peer_workers=outcome["peer"]["workers"])
        found.append(outcome)
    full = None
    if full_peer and only != "ours" and job.peer_epochs < job.row.epochs:
        whole = replace(
            job, peer_epochs=job.row.epochs, score_peer=True, seed=1, output=str(Path(job.output) / "full-peer")
        )
        full = sides.run("peer", whole)
        say(f"the peer's whole run: {_told(full)}")
        _extrapolate(full, job.row.epochs)
    return _record(job, found, full)


def _extrapolate(outcome: dict[str, Any], epochs: int) -> None:
    """What was run, and for every epoch that was not, the mean of those after the first, which warms up."""
    missing = epochs - outcome["epochs"]
    outcome["extrapolated"] = missing > 0
    outcome["measured_s"] = outcome["seconds"]
    mean = statistics.fmean(outcome["epochs_s"][1:] or outcome["epochs_s"])
    outcome["seconds"] = round(outcome["seconds"] + missing * mean, 2)


def _record(job: Job, rounds: list[dict[str, Any]], full: dict[str, Any] | None) -> dict[str, Any]:
    manifest = Manifest.read(job.train).with_durations()
    record: dict[str, Any] = {
        "settings": asdict(job.row) | {"peer_batch": job.peer_batch, "peer_workers": job.peer_workers},
        "utterances": len(manifest),
        "audio_s": round(sum(utterance.duration or 0.0 for utterance in manifest), 1),
        "dev_utterances": len(Manifest.read(job.dev)),
        "device": job.device,
        "precision": "bfloat16" if job.device.startswith("cuda") else "float32",
        "counted": COUNTED,
        "rounds": rounds,
    }
    for side in ("ours", "peer"):
        outcomes = [outcome[side] for outcome in rounds if side in outcome]
        if outcomes:
            record[side] = _median(outcomes)
    if full:
        record["full_peer"] = full
        record["peer"] |= {name: full[name] for name in ("wer", "cer")}
    if "ours" in record and "peer" in record:
        ratios = [outcome["peer"]["seconds"] / outcome["ours"]["seconds"] for outcome in rounds]
        record["ratio"] = round(statistics.median(ratios), 2)
        record["ratios"] = [round(ratio, 2) for ratio in ratios]
    return record | {"machine": describe(), "command": command()}


def _median(outcomes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    middle = {
        name: statistics.median(outcome[name] for outcome in outcomes)
        for name in ("seconds", "wer", "cer")
        if all(name in outcome for outcome in outcomes)
    }
    kept = {name: outcomes[0][name] for name in ("epochs", "steps", "extrapolated") if name in outcomes[0]}
    peaks = [outcome["peak_memory_gb"] for outcome in outcomes]
    return middle | kept | {"peak_memory_gb": {name: min(peak[name] for peak in peaks) for name in peaks[0]}}


def _told(outcome: dict[str, Any]) -> str:
    error_rate = f", dev WER {outcome['wer']:.3f}" if "wer" in outcome else ""
    return f"{outcome['seconds']:.1f} s for {outcome['epochs']} epochs, {outcome['steps']} steps{error_rate}"
