"""Targets: what people write or other programs write for them: manifests, annotations, texts, settings, recordings."""
# ruff: noqa: E501 - seeds are as long as they are

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from scripts.fuzz.contract import Target
from speechxfer import audio
from speechxfer.alignment.script import read_lines
from speechxfer.api.settings import Request
from speechxfer.cli.decoding_options import read_hotwords
from speechxfer.config import FinetuneConfig, build, merge, parse_setting, read_config, to_dict
from speechxfer.data.annotations import read as read_annotations
from speechxfer.data.importers import read_corpus
from speechxfer.data.manifest import Manifest, data_digest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.options import DecodingOptions
from speechxfer.evaluation.keywords import read_keywords
from speechxfer.evaluation.matching import read_matching
from speechxfer.evaluation.predictions import read_predictions
from speechxfer.language_models import LanguageModel, read_arpa
from speechxfer.language_models.arpa import is_arpa

_ROW: dict[str, Any] = {
    "audio": "a.wav", "text": "yes, ich", "start": 0.5, "duration": 1.5, "speaker": "ann", "label": ["a", "b"],
    "audio_channel": 1, "audio_stream": 0, "id": "a-1", "extra": {"x": [1, None]},
}  # fmt: skip
_PREDICTION: dict[str, Any] = {
    "version": 1, "id": "a.wav", "audio": "a.wav", "duration": 1.5, "line": "test.jsonl:1", "reference": "yes", "text": "yes no",
    "alignment": [["yes", "yes"], [None, "no"]], "characters": [3, 0, 0, 3], "errors": 1, "normalizer": "basic",
    "confidence": 0.5, "words": [{"text": "yes", "start": 0.1, "end": 0.3, "confidence": 0.9}],
}  # fmt: skip
_CLASSES: dict[str, Any] = {
    "version": 1,
    "audio": "a.wav",
    "id": "a",
    "reference": "a",
    "line": "",
    "classes": {"a": 0.75, "b": 0.25},
    "errors": 0,
}
_SRT = "1\n00:00:01,000 --> 00:00:02,500\n<i>Hello</i> there\n- again\n\n2\n00:00:03,000 --> 00:00:04,000 X1:1 X2:2\n{\\an8}Bye\n"
_VTT = (
    "WEBVTT - a title\nKind: captions\n\nNOTE a comment\n\nSTYLE\n::cue { color: red }\n\nid\n00:01.000 --> 00:02.000 align:start\n"
    "<v Ann>Hello <00:01.500><c.x>there</c> &amp; &#65;</v>\n\n01:00:03.000 --> 01:00:04.000\nBye\n"
)
_TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 2.5
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 1
            text = "yes ""no"" x"
        intervals [2]:
            xmin = 1
            xmax = 2.5
            text = ""
    item [2]:
        class = "TextTier"
        name = "marks"
        xmin = 0
        xmax = 2.5
        points: size = 1
        points [1]:
            number = 1
            mark = "x"
"""
_SHORT_TEXTGRID = (
    'File type = "ooTextFile"\n"TextGrid"\n\n0\n2.5\n<exists>\n1\n"IntervalTier"\n"words"\n0\n2.5\n1\n0\n2.5\n"yes"\n'
)
_EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT FORMAT="3.0"><HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
<MEDIA_DESCRIPTOR MEDIA_URL="file:///a.wav" RELATIVE_MEDIA_URL="./a.wav" TIME_ORIGIN="100"/></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="ts2"/>
<TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="2500"/></TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="t" PARTICIPANT="Ann" TIER_ID="words"><ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2"><ANNOTATION_VALUE>yes &lt;</ANNOTATION_VALUE>
</ALIGNABLE_ANNOTATION></ANNOTATION><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts3">
<ANNOTATION_VALUE>no</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER LINGUISTIC_TYPE_REF="t" PARENT_REF="words" TIER_ID="notes"><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a3" ANNOTATION_REF="a1">
<ANNOTATION_VALUE>x</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="t" TIME_ALIGNABLE="true"/></ANNOTATION_DOCUMENT>
"""
_ARPA = """comment
\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.3
-0.5\tyes\t-0.2
-0.7\t</s>

\\2-grams:
-0.2\t<s> yes
-0.1\tyes </s>

\\end\\
"""
_SETTINGS = b"""
model = "wav2vec2-nano"
train = "train.jsonl"
dev = "dev.jsonl"
output = "runs/a"
language = "it"
[plan]
preset = "adapt"
[training]
epochs = 5
[retention]
replay = "old.jsonl"
"""


def _given(*texts: str | bytes) -> Callable[[Path], Iterable[bytes]]:
    """Seeds that need no other files."""
    return lambda _folder: [text.encode() if isinstance(text, str) else text for text in texts]


def _lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _manifest(path: Path) -> object:
    manifest = Manifest.read(path)
    return data_digest([manifest]), manifest.duration_s


def _written(path: Path) -> object:
    Manifest.read(path).write(written := path.with_name(f"written{path.suffix}"))
    return written


def _annotations(path: Path) -> object:
    return read_annotations(path, _warned)


def _warned(message: str, _kind: str) -> None:
    """A warning is one line, as an error is."""
    assert len(message.splitlines()) == 1, message


def _predictions(path: Path) -> object:
    return read_predictions(path, path.parent).to_dict()


def _hypotheses(path: Path) -> object:
    return read_matching(path, Manifest.read(path.with_name("test.jsonl")), TextNormalizer("basic")).to_dict()


def _hypotheses_seeds(folder: Path) -> Iterable[bytes]:
    rows = [{"audio": "a.wav", "text": "yes no", "duration": 1.0}, {"audio": "b.wav", "text": "no", "duration": 1.0}]
    (folder / "test.jsonl").write_bytes(_lines(*rows))
    yield _lines(*({"audio": row["audio"], "hypothesis": "yes", "reference": row["text"]} for row in rows))
    yield _lines(
        _PREDICTION | {"reference": "yes no", "duration": 1.0, "alignment": [["yes", "yes"], ["no", "no"]]},
        _PREDICTION
        | {"id": "b.wav", "audio": "b.wav", "reference": "no", "duration": 1.0, "alignment": [["no", "no"]]},
    )


def _language_model(path: Path) -> object:
    return is_arpa(path) and LanguageModel.of(read_arpa(path))


def _config(path: Path) -> object:
    config = read_config(path)
    return build(FinetuneConfig, merge([to_dict(config), {"training": {"epochs": 1}}]))


def _plan(path: Path) -> object:
    return Request.of(None, path, {"model": "m"})


def _assignment(path: Path) -> object:
    return parse_setting(path.read_bytes().decode(errors="surrogateescape"))


def _hotwords(path: Path) -> object:
    return DecodingOptions(hotwords=read_hotwords(path)).weighted_hotwords


def _kaldi(path: Path) -> object:
    return read_corpus("kaldi", str(path.parent), beside=path.with_name("out.jsonl"))


def _kaldi_seeds(folder: Path) -> Iterable[bytes]:
    (folder / "text").write_text("a-1 yes\na-2 no\n")
    (folder / "segments").write_text("a-1 a 0.0 1.0\na-2 a 1.0 2.0\n")
    return [b"a a.wav\n", b"a flac -c -d -s a.flac |\n", b'a cat "b c.wav" |\n']


def _recording(path: Path) -> object:
    return audio.info(path), len(audio.load(path, notify=_noticed)), sum(map(len, audio.blocks(path)))


def _noticed(notice: object) -> None:
    _warned(str(notice), "")


def _sounds(*formats: tuple[str, str]) -> Callable[[Path], Iterable[bytes]]:
    """Short recordings in formats and encodings of libsndfile."""

    def made(_folder: Path) -> Iterable[bytes]:
        sound = 0.3 * np.sin(np.arange(400)[:, None] * [0.1, 0.2])
        for kind, encoding in formats:
            file = io.BytesIO()
            soundfile.write(file, sound, 8000, format=kind, subtype=encoding)
            yield file.getvalue()

    return made


DATA_FILES = (
    Target("jsonl", "rows.jsonl", _manifest, _given(_lines(_ROW, {"path": "b.wav", "sentence": "no"})), "jsonl", 8),
    Target(
        "json", "rows.json", _written, _given(json.dumps([_ROW]), json.dumps({"data": [_ROW]}, indent=1)), "json", 6
    ),
    Target(
        "csv",
        "rows.csv",
        _manifest,
        _given(
            'audio,text,start\na.wav,"yes, no",0.5\nb.wav,no,\n',
            "sep=;\npath;sentence;duration;up votes\na.mp3;ja;1,5;\n",
        ),
        weight=10,
    ),
    Target(
        "tsv",
        "rows.tsv",
        _manifest,
        _given("client_id\tpath\tsentence\nx\ta.mp3\tja\n", "audio\ttext\r\na\tb\r\n".encode("utf-16")),
        weight=10,
    ),
    Target("srt", "talk.srt", _annotations, _given(_SRT, _SRT.encode("utf-16")), weight=8),
    Target("vtt", "talk.vtt", _annotations, _given(_VTT), weight=8),
    Target(
        "textgrid",
        "talk.TextGrid",
        _annotations,
        _given(_TEXTGRID, _SHORT_TEXTGRID, _TEXTGRID.encode("utf-16-be")),
        weight=8,
    ),
    Target("elan", "talk.eaf", _annotations, _given(_EAF), weight=5),
    Target(
        "script", "talk.txt", lambda path: read_lines(path, _warned), _given("Yes. No!\n\n« Ja »… 。好。\n"), weight=6
    ),
    Target("kaldi", "wav.scp", _kaldi, _kaldi_seeds, weight=4, names_file=False),
    Target(
        "predictions",
        "test.jsonl",
        _predictions,
        _given(_lines(_PREDICTION, _PREDICTION), _lines(_CLASSES)),
        "jsonl",
        5,
    ),
    Target("hypotheses", "hyp.jsonl", _hypotheses, _hypotheses_seeds, "jsonl", 4),
    Target(
        "keywords",
        "names.txt",
        lambda path: read_keywords(path, TextNormalizer("basic")),
        _given("Aachen\nBad Doberan\n"),
        weight=6,
    ),
    Target("hotwords", "names.txt", _hotwords, _given("Aachen\nBad Doberan\t12\n"), weight=6, names_file=False),
    Target(
        "arpa", "words.arpa", _language_model, _given(_ARPA, gzip.compress(_ARPA.encode())), weight=8, names_file=False
    ),
    Target("settings", "config.toml", _config, _given(_SETTINGS), "toml", 5),
    Target(
        "plan",
        "plan.toml",
        _plan,
        _given(b'[plan]\npreset = "adapt"\nunfreeze_every = 2\n'),
        "toml",
        5,
        names_file=False,
    ),
    Target(
        "set",
        "argument",
        _assignment,
        _given("training.epochs=5", "plan.preset='x'", "model=a"),
        weight=5,
        names_file=False,
    ),
    Target(
        "wav",
        "a.wav",
        _recording,
        _sounds(("WAV", "PCM_16"), ("WAV", "ULAW"), ("WAVEX", "FLOAT"), ("W64", "PCM_24")),
        weight=2,
    ),
    Target("flac", "a.flac", _recording, _sounds(("FLAC", "PCM_16"), ("OGG", "VORBIS")), weight=1),
    Target(
        "headers",
        "a.au",
        _recording,
        _sounds(("AU", "PCM_16"), ("CAF", "PCM_16"), ("AIFF", "PCM_16"), ("NIST", "PCM_16"), ("MP3", "MPEG_LAYER_III")),
        weight=1,
    ),
)
