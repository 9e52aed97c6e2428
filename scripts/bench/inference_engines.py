"""What `peers_inference` compares: each opens one of the folders that it needs, and writes the text of a waveform."""

from __future__ import annotations

import functools
import importlib.util
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import speechxfer as sx
from speechxfer.audio import SAMPLE_RATE, Waveform
from speechxfer.export import EXPORT_TARGETS
from speechxfer.export.gate import Conversion
from speechxfer.export.ggml import FILE
from speechxfer.export.parity import examples
from speechxfer.storage import replacing_folder

Transcribe = Callable[[Waveform], str]

#: What the others are compared with.
REFERENCE = {"short": "faster-whisper, int8, beam 5", "long": "faster-whisper, batched int8, beam 5"}


@dataclass(frozen=True)
class Models:
    """The models that are compared, and a folder for what is made of them.

    Attributes:
        whisper: a Whisper with its own decoder.
        ctc: a CTC model on the same encoder, or None.
        decoder: the same Whisper adapted to utterances at their own length, or None.
        work: the folder for exports; those that are there are used.
        dev: utterances by which exports in int8 are rounded, or None.
    """

    whisper: str
    ctc: str | None
    decoder: str | None
    work: Path
    dev: Path | None = None

    def given(self, part: str) -> str:
        """The name of one that is there."""
        return cast(str, getattr(self, part))

    def saved(self, part: str) -> Path:
        """The folder of one of them as this package saves it, which `transformers` opens too."""
        folder = self.work / part
        if not folder.exists():
            sx.SpeechModel.load(self.given(part), device="cpu").save(folder)
        return folder

    def exported(self, part: str, to: str, quantization: str) -> Path:
        """One of them for another runtime. Here the texts are scored, so what the gate would refuse is measured too."""
        folder = self.work / f"{part}-{to}-{quantization}"
        if not folder.exists():
            saved = self.saved(part)
            convert = cast(Conversion, EXPORT_TARGETS.find(to).convert)
            given = examples(sx.Manifest.read(self.dev)) if self.dev else []
            with replacing_folder(folder) as temporary:
                convert.write(sx.SpeechModel.load(str(saved), device="cpu"), saved, temporary, quantization, given)
        return folder


@dataclass(frozen=True)
class Engine:
    """One side of the comparison.

    Attributes:
        name: what the table calls it.
        open: opens it, for long recordings or for utterances.
        package: the module that it takes.
        part: the one of the models that it runs.
        kinds: what it transcribes.
        slow: whether it transcribes less than ten times as fast as utterances are spoken.
    """

    name: str
    open: Callable[[Models, bool], Transcribe]
    package: str
    part: str = "whisper"
    kinds: tuple[str, ...] = ("short", "long")
    slow: bool = False

    def missing(self, models: Models) -> str:
        """Why it cannot be measured; empty where it can."""
        if getattr(models, self.part) is None:
            return f"--{self.part} not given"
        return "" if importlib.util.find_spec(self.package) else f"{self.package} not installed"


def _faster_whisper(models: Models, _: bool, *, compute: str, beams: int, batched: bool = False) -> Transcribe:
    """On the same weights in CTranslate2's form, with the library's defaults."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    folder = models.exported("whisper", "ctranslate2", "float32")
    model = WhisperModel(str(folder), device="cpu", compute_type=compute, cpu_threads=1)
    options: dict[str, Any] = {"beam_size": beams, "language": "en"}
    run = functools.partial(BatchedInferencePipeline(model).transcribe, batch_size=8) if batched else model.transcribe

    def transcribe(waveform: Waveform) -> str:
        segments, _ = run(waveform, **options)
        return " ".join(segment.text for segment in segments)

    return transcribe


def _pipeline(models: Models, is_long: bool) -> Transcribe:
    from transformers import pipeline
    from transformers.utils import logging as their_logging

    their_logging.set_verbosity_error()
    run = pipeline("automatic-speech-recognition", str(models.saved("whisper")), device="cpu")
    options = {"return_timestamps": True} if is_long else {}  # recordings of over 30 s need it

    def transcribe(waveform: Waveform) -> str:
        return str(run({"raw": waveform, "sampling_rate": SAMPLE_RATE}, **options)["text"])

    return transcribe


def _whisper_cpp(models: Models, _: bool, *, quantization: str) -> Transcribe:
    from pywhispercpp.model import Model

    logging.getLogger("pywhispercpp").setLevel(logging.ERROR)
    file = models.exported("whisper", "ggml", quantization) / FILE
    model = Model(str(file), redirect_whispercpp_logs_to=None, n_threads=1, language="en", print_progress=False)
    return lambda waveform: " ".join(segment.text for segment in model.transcribe(waveform))


def _onnx_asr(models: Models, _: bool, *, quantization: str) -> Transcribe:
    from onnx_asr import load_model
    from onnxruntime import SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = 1
    folder = models.exported("whisper", "onnx-asr", quantization)
    model = load_model("whisper", folder, sess_options=options, providers=["CPUExecutionProvider"])
    return lambda waveform: str(model.recognize(waveform, language="en"))


def _sherpa_onnx(models: Models, _: bool, *, quantization: str) -> Transcribe:
    from sherpa_onnx import OfflineRecognizer

    from speechxfer.export.sherpa_onnx.moonshine import FILES

    folder = models.exported("decoder", "sherpa-onnx", quantization)
    files = {name: str(folder / file) for name, file in FILES.items()}
    model = OfflineRecognizer.from_moonshine(**files, num_threads=1)

    def transcribe(waveform: Waveform) -> str:
        stream = model.create_stream()
        stream.accept_waveform(SAMPLE_RATE, waveform)
        model.decode_stream(stream)
        return str(stream.result.text)

    return transcribe


def _trained(models: Models, is_long: bool, *, part: str, dtype: str = "float32") -> Transcribe:
    return _ours(sx.load(models.given(part), device="cpu", dtype=dtype, threads=1), is_long)


def _exported(models: Models, is_long: bool, *, quantization: str, options: sx.DecodingOptions | None) -> Transcribe:
    return _ours(sx.load(str(models.exported("ctc", "onnx", quantization)), threads=1), is_long, options)


def _ours(model: sx.Predictor, is_long: bool, options: sx.DecodingOptions | None = None) -> Transcribe:
    if is_long:
        return lambda waveform: model.transcribe(waveform, sample_rate=SAMPLE_RATE, options=options).text
    return lambda waveform: model.recognize([waveform], options)[0].text


def _all() -> Iterator[Engine]:
    for compute in ("float32", "int8"):
        for beams, search in ((5, "beam 5"), (1, "greedy")):
            open_ = functools.partial(_faster_whisper, compute=compute, beams=beams)
            name = f"faster-whisper, {compute}, {search}"
            yield Engine(name, open_, "faster_whisper", slow=name not in REFERENCE.values())
    for beams, search in ((5, "beam 5"), (1, "greedy")):
        batched = functools.partial(_faster_whisper, compute="int8", beams=beams, batched=True)
        yield Engine(f"faster-whisper, batched int8, {search}", batched, "faster_whisper", kinds=("long",))
    yield Engine("transformers pipeline, float32", _pipeline, "transformers", slow=True)
    for weights in ("float16", "int8"):
        open_ = functools.partial(_whisper_cpp, quantization=weights)
        yield Engine(f"whisper.cpp, {weights}", open_, "pywhispercpp", slow=True)
    for weights in ("float32", "int8"):
        open_ = functools.partial(_onnx_asr, quantization=weights)
        yield Engine(f"onnx-asr, {weights}", open_, "onnx_asr", kinds=("short",), slow=True)
    yield from _own()


def _own() -> Iterator[Engine]:
    padded, own_length = (functools.partial(_trained, part=part) for part in ("whisper", "decoder"))
    yield Engine("ours: its decoder, padded to 30 s", padded, "torch", slow=True)
    yield Engine("ours: adapted decoder, own length", own_length, "torch", "decoder")
    halved = functools.partial(_trained, part="decoder", dtype="bfloat16")
    yield Engine("ours: adapted decoder, own length, bfloat16", halved, "torch", "decoder")
    for weights in ("float32", "int8"):
        sherpa = functools.partial(_sherpa_onnx, quantization=weights)
        yield Engine(f"ours: the same for sherpa-onnx, {weights}", sherpa, "sherpa_onnx", "decoder", ("short",))
    for weights in ("float32", "int8"):
        for search, options in (("greedy", sx.DecodingOptions(beams=1)), ("language model", None)):
            ctc = functools.partial(_exported, quantization=weights, options=options)
            yield Engine(f"ours: CTC for ONNX, {weights}, {search}", ctc, "onnxruntime", "ctc")


ENGINES = tuple(_all())
