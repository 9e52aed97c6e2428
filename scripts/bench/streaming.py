"""Streams of utterances against the same utterances offline, and how long a reader waits for text.

    python -m scripts.bench.streaming --model runs/accented-english/model --manifest data/accented-english/test.jsonl

Real time is simulated: a chunk is there when its last sample was spoken and the stream is done with the one before it.
Computing counts as the processor time of the process, so that other work on the machine does not matter. Speech begins
and ends where the detector finds it in the whole utterance. Printed are

- `same_text`: of utterances streamed alone, those whose final text is that of `model.transcribe`; `same_segments`: of
  the segments of all of them joined by 0.2 to 2 s of silence, those that `model.transcribe` has as well;
- `first_text_s`: from the beginning of speech to the first text; `final_text_s`: from its end to the last final text;
- `load`: computing in relation to the length of the sound; `first_minutes_gb` and `peak_gb`: the peak memory of the
  process after a tenth of the joined stream, and at its end.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import numpy as np

import speechxfer as sx
from speechxfer.audio import SAMPLE_RATE, Waveform
from speechxfer.data.loading import read
from speechxfer.inference.silence import HOP
from speechxfer.inference.streaming import PAUSE_S
from speechxfer.inference.voice_activity import detector


class Session:
    """A stream in simulated real time: what it gave, when that was there, and what it cost."""

    def __init__(self, stream: sx.Stream) -> None:
        self._stream = stream
        self._now_s = 0.0
        self.results: list[tuple[float, sx.StreamResult]] = []
        self.fed_s = self.computing_s = 0.0

    def feed(self, chunk: Waveform) -> None:
        """A chunk that is there when its last sample was spoken."""
        self.fed_s += len(chunk) / SAMPLE_RATE
        self._now_s = max(self._now_s, self.fed_s)
        self._take(lambda: self._stream.feed(chunk))

    def finish(self) -> None:
        self._take(self._stream.finish)

    def _take(self, call: Callable[[], list[sx.StreamResult]]) -> None:
        begin = time.process_time()
        found = call()
        took_s = time.process_time() - begin
        self.computing_s += took_s
        self._now_s += took_s
        self.results += [(self._now_s, result) for result in found]

    @property
    def text(self) -> str:
        """All that is final."""
        return " ".join(result.text for _, result in self.results if result.final)

    def first_s(self) -> float | None:
        """When the first text was there."""
        return next((when for when, result in self.results if result.text), None)


def chunks(waveform: Waveform, chunk_ms: int) -> Iterator[Waveform]:
    size = chunk_ms * SAMPLE_RATE // 1000
    return (waveform[at : at + size] for at in range(0, len(waveform), size))


def alone(
    model: sx.Predictor, waveforms: Sequence[Waveform], vad: str, pause_s: float, chunk_ms: int
) -> dict[str, object]:
    """Each utterance as a stream of its own, which goes on with silence after it."""
    same, others, first, final, computing_s, fed_s = 0, [], [], [], 0.0, 0.0
    for waveform in waveforms:
        marked = detector(vad).mark([waveform])
        speech = np.flatnonzero(np.concatenate([flags for _, flags in marked])) * HOP / SAMPLE_RATE
        session = Session(model.open_stream(SAMPLE_RATE, vad=vad, pause_s=pause_s))
        for chunk in chunks(waveform, chunk_ms):
            session.feed(chunk)
        session.finish()
        offline = model.transcribe(waveform, sample_rate=SAMPLE_RATE, vad=vad).text
        same += session.text == offline
        others += [(offline, session.text)] * (session.text != offline)
        if len(speech) and (when := session.first_s()) is not None:
            first.append(when - float(speech[0]))
            final.append(session.results[-1][0] - float(speech[-1]))
        computing_s, fed_s = computing_s + session.computing_s, fed_s + session.fed_s
    return {
        "utterances": len(waveforms),
        "same_text": round(same / len(waveforms), 4),
        "first_text_s": percentiles(first),
        "first_text_within_500_ms": round(float(np.mean(np.array(first) <= 0.5)), 4),
        "final_text_s": percentiles(final),
        "load": round(computing_s / fed_s, 3),
        "different": others,
    }


def joined(
    model: sx.Predictor, waveforms: Sequence[Waveform], vad: str, pause_s: float, chunk_ms: int, minutes: float, *,
    partials: bool,
) -> dict[str, object]:  # fmt: skip
    """All of them as one stream, over and over for some minutes; it is compared with the same sound as a recording."""
    generator = np.random.default_rng(0)
    session = Session(model.open_stream(SAMPLE_RATE, vad=vad, pause_s=pause_s, partials=partials))
    sound: list[Waveform] = []
    first_gb = 0.0
    while session.fed_s < minutes * 60:
        sound.append(waveforms[int(generator.integers(len(waveforms)))])
        sound.append(generator.normal(0, 1e-4, round(generator.uniform(0.2, 2) * SAMPLE_RATE)).astype(np.float32))
        for chunk in chunks(np.concatenate(sound[-2:]), chunk_ms):
            session.feed(chunk)
        first_gb = first_gb or (session.fed_s > minutes * 6) * peak_gb()
    session.finish()
    last_gb = peak_gb()
    offline = model.transcribe(np.concatenate(sound), sample_rate=SAMPLE_RATE, vad=vad).segments
    found = {(result.text, round(result.start, 3)) for _, result in session.results if result.final}
    same = sum((segment.text, round(segment.start, 3)) in found for segment in offline)
    return {
        "minutes": round(session.fed_s / 60, 1),
        "segments": len(offline),
        "same_segments": round(same / len(offline), 4),
        "load": round(session.computing_s / session.fed_s, 3),
        "first_minutes_gb": round(first_gb, 3),
        "peak_gb": round(last_gb, 3),
    }


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    return {
        name: round(float(np.percentile(seconds, at)), 3) for name, at in (("median", 50), ("p90", 90), ("p98", 98))
    }


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


@click.command()
@click.option("--model", "model_name", required=True)
@click.option("--manifest", required=True)
@click.option("--limit", type=int, help="Only so many utterances, spread over the manifest.")
@click.option("--minutes", default=10.0, show_default=True, help="Of the joined stream.")
@click.option("--partials/--no-partials", default=True, show_default=True, help="In the joined stream.")
@click.option("--chunk-ms", default=20, show_default=True)
@click.option("--vad", default="auto", show_default=True)
@click.option("--pause", "pause_s", default=PAUSE_S, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Write the figures here as JSON.")
def main(
    *, model_name: str, manifest: str, limit: int | None, minutes: float, partials: bool, chunk_ms: int, vad: str,
    pause_s: float, threads: int, output: Path | None,
) -> None:  # fmt: skip
    model = sx.load(model_name, threads=threads)
    utterances = list(sx.Manifest.read(manifest))
    picked = np.linspace(0, len(utterances) - 1, min(limit or len(utterances), len(utterances))).round().astype(int)
    waveforms = [read(utterances[at]) for at in picked]
    found: dict[str, object] = {"model": model_name, "manifest": manifest, "vad": vad, "pause_s": pause_s}
    if minutes:
        found["joined"] = joined(model, waveforms, vad, pause_s, chunk_ms, minutes, partials=partials)
        click.echo(json.dumps(found["joined"]))
    found["alone"] = alone(model, waveforms, vad, pause_s, chunk_ms)
    click.echo(json.dumps(found["alone"], indent=2))
    if output:
        output.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
