"""How a server bears many clients, and clients that send rubbish.

    python scripts/bench/server.py load runs/ivr-it/model data/ivr-it/test.jsonl --clients 8 --seconds 60
    python scripts/bench/server.py mutate runs/ivr-it/model data/ivr-it/test.jsonl --uploads 10000

Server and clients share the machine. `load` has each client send one prompt after the other, and gives the times
of answers and the server's resident memory. `mutate` sends damaged recordings (cut, with wrong bytes, with absurd
headers, none at all) from several clients, while another sends a good prompt again and again, whose text must not
change.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import random
import re
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import click
import numpy as np
import soundfile

import speechxfer as sx
from speechxfer.audio import SAMPLE_RATE
from speechxfer.data.loading import read
from speechxfer.storage import write_json

_BOUNDARY = "----speechxfer"


@dataclass(frozen=True)
class Server:
    """A server in a process of its own."""

    address: str
    pid: int

    def post(self, audio: bytes, *, name: str = "a.wav", timeout_s: float = 120.0) -> tuple[int, bytes]:
        """Status and body of the answer to a recording."""
        host, port = self.address.removeprefix("http://").split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=timeout_s)
        head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
        try:
            body = head + audio + f"\r\n--{_BOUNDARY}--\r\n".encode()
            connection.request("POST", "/v1/audio/transcriptions", body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def resident_mb(self) -> float:
        """Its memory, as the system counts it."""
        text = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) / 1000

    def processor_s(self) -> float:
        """Seconds of processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(model: str, *options: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "speechxfer", "serve", f"model={model}", "--port", "0", *options]
    environment = {**os.environ, "SPEECHXFER_TOKEN": ""}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr
        line = process.stderr.readline()
        if " at http://" not in line:
            raise click.ClickException(line + process.stderr.read())
        try:
            yield Server(line.split(" at ")[1].split()[0], process.pid)
            assert process.poll() is None, "the server has ended"
        finally:
            process.terminate()


def prompts(manifest: str, seconds: float) -> list[bytes]:
    """Utterances of a manifest that last about so long, as WAV files."""
    found = []
    for utterance in sx.Manifest.read(manifest):
        samples = read(utterance)
        if 0.8 * seconds <= len(samples) / SAMPLE_RATE <= 1.2 * seconds:
            found.append(encoded(samples, "wav"))
    if not found:
        raise click.ClickException(f"{manifest}: no utterance lasts about {seconds:g} s")
    return found


def encoded(samples: np.ndarray, format_: str) -> bytes:
    """Samples as a file of a format."""
    file = io.BytesIO()
    if format_ in ("wav", "flac", "ogg"):
        soundfile.write(file, samples, SAMPLE_RATE, format=format_.upper())
        return file.getvalue()
    codec = {"mp3": "mp3", "mp4": "aac", "webm": "libopus"}[format_]
    with av.open(file, "w", format=format_) as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray((32767 * samples).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate = SAMPLE_RATE
        resampler = av.AudioResampler(stream.format, "mono", 48_000, frame_size=stream.frame_size or 1024)
        for one in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(one))
        container.mux(stream.encode(None))
    return file.getvalue()


@click.group()
def main() -> None:
    """Measure a server."""


@main.command()
@click.argument("model")
@click.argument("manifest")
@click.option("--clients", default=8, show_default=True)
@click.option("--seconds", default=60.0, show_default=True)
@click.option("--prompt-s", default=3.0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Write the figures here as JSON.")
def load(model: str, manifest: str, clients: int, seconds: float, prompt_s: float, output: Path | None) -> None:
    """Many clients, each with one prompt after the other."""
    audio = prompts(manifest, prompt_s)
    times: list[float] = []
    statuses: Counter[int | str] = Counter()
    memory: list[float] = []
    with served(model) as server:
        before_s = server.processor_s()
        until = time.monotonic() + seconds

        def ask(client: int) -> None:
            order = random.Random(client)
            while time.monotonic() < until:
                begun = time.perf_counter()
                try:
                    status, _ = server.post(order.choice(audio))
                except OSError as error:
                    statuses[type(error).__name__] += 1
                    continue
                times.append(time.perf_counter() - begun)
                statuses[status] += 1

        with ThreadPoolExecutor(clients) as threads:
            asking = [threads.submit(ask, client) for client in range(clients)]
            while not all(one.done() for one in asking):
                memory.append(server.resident_mb())
                time.sleep(max(1.0, seconds / 60))
        used_s = server.processor_s() - before_s
    half = len(memory) // 2
    report(output, {
        "model": model, "clients": clients, "seconds": seconds, "prompt_s": prompt_s,
        "answers": {str(key): count for key, count in statuses.items()},
        "answers_per_s": round(len(times) / seconds, 1),
        "p50_ms": round(1000 * float(np.percentile(times, 50))),
        "p95_ms": round(1000 * float(np.percentile(times, 95))),
        "processor_ms_per_answer": round(1000 * used_s / len(times)), "load_of_machine": round(os.getloadavg()[0], 1),
        "largest_ms": round(1000 * max(times)),
        "resident_mb": {"at half time": round(max(memory[: half + 1])), "at the end": round(max(memory[half:]))},
    })  # fmt: skip


@main.command()
@click.argument("model")
@click.argument("manifest")
@click.option("--uploads", default=10_000, show_default=True)
@click.option("--clients", default=8, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Write the figures here as JSON.")
def mutate(model: str, manifest: str, uploads: int, clients: int, seed: int, output: Path | None) -> None:
    """Damaged recordings, while another client goes on."""
    good = prompts(manifest, 3.0)[0]
    samples, _ = soundfile.read(io.BytesIO(good), dtype="float32")
    formats = ("wav", "flac", "ogg", "mp3", "mp4", "webm")
    originals = {format_: encoded(samples[: 2 * SAMPLE_RATE], format_) for format_ in formats}
    statuses: Counter[str] = Counter()
    slowest = [0.0]
    with served(model, "--upload-mb", "2", "--duration-s", "60") as server, controlled(server, good) as control:

        def send(number: int) -> None:
            name, audio = mutated(originals, random.Random(f"{seed}/{number}"))
            begun = time.perf_counter()
            try:
                status, _ = server.post(audio, name=name)
            except OSError as error:
                statuses[type(error).__name__] += 1
                click.echo(f"upload {number} ({name}): {error!r}", err=True)
                return
            slowest[0] = max(slowest[0], time.perf_counter() - begun)
            statuses[str(status)] += 1
            if status >= 500:
                click.echo(f"upload {number} ({name}): {status}", err=True)

        with ThreadPoolExecutor(clients) as threads:
            list(threads.map(send, range(uploads)))
    report(output, {
        "model": model, "uploads": uploads, "seed": seed, "answers": dict(statuses), "slowest_s": round(slowest[0], 1),
        "good_prompts": len(control.times), "texts": len(control.texts),
        "good_p95_ms": round(1000 * float(np.percentile(control.times, 95))),
    })  # fmt: skip


@dataclass
class Control:
    """What became of the good prompt."""

    times: list[float]
    texts: set[bytes]


@contextmanager
def controlled(server: Server, good: bytes) -> Iterator[Control]:
    """A client that sends a good prompt every second."""
    found, ended = Control([], set()), threading.Event()

    def ask() -> None:
        while not ended.wait(1.0):
            begun = time.perf_counter()
            status, body = server.post(good)
            found.times.append(time.perf_counter() - begun)
            found.texts.add(str(status).encode() + body)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


Mutation = Callable[[bytes, random.Random], bytes]


def _cut(audio: bytes, generator: random.Random) -> bytes:
    return audio[: generator.randrange(len(audio))]


def _wrong_bytes(audio: bytes, generator: random.Random) -> bytes:
    damaged = bytearray(audio)
    for _ in range(generator.choice([1, 4, 16, 256])):
        damaged[generator.randrange(len(damaged))] = generator.randrange(256)
    return bytes(damaged)


def _wrong_header(audio: bytes, generator: random.Random) -> bytes:
    """Numbers at the beginning, where formats have rates, channels and sizes, that no recording has."""
    damaged = bytearray(audio)
    for _ in range(generator.choice([1, 2, 4])):
        at = generator.randrange(min(120, len(damaged) - 4))
        damaged[at : at + 4] = struct.pack("<I", generator.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 65535]))
    return bytes(damaged)


def _shuffled(audio: bytes, generator: random.Random) -> bytes:
    size = max(1, len(audio) // generator.choice([2, 5, 20]))
    pieces = [audio[at : at + size] for at in range(0, len(audio), size)]
    generator.shuffle(pieces)
    return b"".join(pieces)


def _repeated(audio: bytes, generator: random.Random) -> bytes:
    return audio * generator.choice([2, 10])


def _noise(_audio: bytes, generator: random.Random) -> bytes:
    return generator.randbytes(generator.choice([0, 1, 100, 10_000]))


def _bomb(_audio: bytes, generator: random.Random) -> bytes:
    """Silence that is a thousand times as large as its file."""
    return encoded(np.zeros(generator.choice([120, 600]) * SAMPLE_RATE, np.float32), "flac")


def _other_type(_audio: bytes, generator: random.Random) -> bytes:
    return generator.choice([
        b"%PDF-1.7\n" + b"x" * 3000, b"PK\x03\x04" + bytes(500), b"\x89PNG\r\n\x1a\n" + bytes(500), b"<html></html>",
        b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n", b"\x7fELF" + bytes(4000),
        b"\x1f\x8b\x08" + bytes(100), b"{\"a\": 1}", b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"AVI LIST",
    ])  # fmt: skip


def mutated(originals: dict[str, bytes], generator: random.Random) -> tuple[str, bytes]:
    """A damaged recording with a name."""
    format_ = generator.choice(sorted(originals))
    audio = originals[format_]
    common: list[Mutation] = [_cut, _wrong_bytes, _wrong_header, _shuffled]
    rare: list[Mutation] = [_repeated, _noise, _other_type]
    mutation = generator.choice(common * 4 + rare * 2) if generator.random() > 0.002 else _bomb
    suffix = generator.choice([format_, format_, "wav", "gsm", "txt", "m3u8", "raw"])
    return f"{mutation.__name__.strip('_')}.{suffix}", mutation(audio, generator)


def report(output: Path | None, result: dict[str, object]) -> None:
    click.echo(json.dumps(result, indent=1))
    if output:
        write_json(output, result)


if __name__ == "__main__":
    main()
