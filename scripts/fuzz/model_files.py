"""Targets: what the package and its peers write: models, exported folders, checkpoints, run folders, vocabularies."""
# ruff: noqa: E501 - seeds are as long as they are

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

from scripts.fuzz.contract import Target
from speechxfer.data.vocabulary import restore_vocabulary
from speechxfer.encoders.checkpoints import Checkpoint, find
from speechxfer.encoders.files import read_json
from speechxfer.encoders.weights import read_weights
from speechxfer.heads.ctc.files import read_spelling
from speechxfer.model import SpeechModel
from speechxfer.opening import open_checkpoint
from speechxfer.progress import Progress
from speechxfer.report.run import read_run
from speechxfer.runtime.model import ExportedModel
from speechxfer.training import checkpoint

_LETTERS = {"<pad>": 0, "|": 1, "a": 2, "b": 3, "<unk>": 4}
_TINY: dict[str, Any] = {
    "vocab_size": 5, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
    "conv_dim": [8, 8], "conv_kernel": [10, 4], "conv_stride": [160, 2], "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "pad_token_id": 0, "vocab": None,
}  # fmt: skip
_PIECES = {
    "version": "1.0", "added_tokens": [{"id": 0, "content": "<pad>", "special": True}],
    "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}, "normalizer": None,
    "decoder": {"type": "Metaspace", "replacement": "▁"},
    "model": {"type": "BPE", "unk_token": None, "vocab": {"<pad>": 0, "▁": 1, "a": 2, "b": 3, "▁a": 4}, "merges": [["▁", "a"]]},
}  # fmt: skip
_DESCRIPTIONS = [
    {"kind": "characters", "symbols": [" ", "a", "b"]},
    {"kind": "phonemes", "symbols": ["a", "tʃ"]},
    {"kind": "pieces", "symbols": [" ", "a", "b", " a"], "merges": [[" ", "a"]]},
]
_METRICS = {
    "version": 1,
    "dev": {"wer": 0.5},
    "best_epoch": 1,
    "epochs": 2,
    "steps": 4,
    "seconds": {"training": 1.0},
    "notes": ["a"],
}
_PLAN = {"version": 1, "trained": 10, "total": 20, "columns": ["part"], "rows": [["head"]]}
_SOURCES = {"version": 1, "model": "ab", "splits": {"train": {"digest": "x", "utterances": 3, "seconds": 1.0}}}
_EXPORTED = {
    "format": 1, "head": {"kind": "ctc", "vocabulary": _DESCRIPTIONS[0], "normalizer": {"name": "basic", "version": 2}, "frame_rate": 50.0},
    "quantization": "float32", "sample_rate": 16000, "block": 160, "least_blocks": 1, "max_duration_s": None, "fixed_duration_s": None,
    "language": "it", "source": "a", "calibration": {"slope": 1.0, "offset": 0.0},
}  # fmt: skip


def _given(*values: Any) -> Any:
    return lambda _folder: [json.dumps(value).encode() for value in values]


# Folders of `transformers`


def tiny_model(folder: Path) -> Path:
    """A CTC model of `transformers` with very few weights."""
    torch.manual_seed(0)
    Wav2Vec2ForCTC(Wav2Vec2Config(**_TINY)).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(_LETTERS))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "Wav2Vec2CTCTokenizer", "pad_token": "<pad>"})
    )
    (folder / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 16000, "do_normalize": True}))
    return folder


def _file_of_folder(name: str) -> Any:
    return lambda folder: [tiny_model(folder).joinpath(name).read_bytes()]


def _opened(path: Path) -> object:
    """The model's folder, as it is opened to look at it and to compute with it."""
    with torch.device("meta"):
        open_checkpoint(find(str(path.parent)))
    return SpeechModel.load(str(path.parent))


def _spelling(path: Path) -> object:
    return read_spelling(Checkpoint("fuzzed", path.parent), {"pad_token_id": 0}, 5)


def _tokenizer_seeds(folder: Path) -> Iterable[bytes]:
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    unigram = {
        "type": "Unigram",
        "unk_id": 4,
        "vocab": [["<pad>", 0.0], ["▁", -1.0], ["a", -2.0], ["b", -2.5], ["<unk>", 0.0]],
    }
    return [json.dumps(_PIECES).encode(), json.dumps(_PIECES | {"model": unigram}).encode()]


def _vocabulary(path: Path) -> object:
    """A description inside another file."""
    vocabulary = restore_vocabulary(read_json(path))
    return vocabulary.decode(vocabulary.encode("ab a")), vocabulary.to_dict()


# Folders of this package


def _saved(folder: Path) -> Iterable[bytes]:
    with tempfile.TemporaryDirectory() as other:
        SpeechModel.load(str(tiny_model(Path(other)))).save(folder)
    return [(folder / "speechxfer.json").read_bytes()]


def _exported_seeds(folder: Path) -> Iterable[bytes]:
    onnx.save(_graph(), str(folder / "model.onnx"))
    return [json.dumps(_EXPORTED).encode()]


def _graph() -> onnx.ModelProto:
    """A graph with the inputs and outputs of an exported CTC model, which computes constants."""
    make, kinds = onnx.helper, onnx.TensorProto
    outputs = onnx.numpy_helper.from_array(np.log(np.full((1, 5, 4), 0.25, np.float32)), "constant")
    frames = onnx.numpy_helper.from_array(np.array([5], np.int64), "five")
    graph = make.make_graph(
        [make.make_node("Identity", ["constant"], ["outputs"]), make.make_node("Identity", ["five"], ["num_frames"])],
        "constants",
        [
            make.make_tensor_value_info("waveforms", kinds.FLOAT, ["batch", "samples"]),
            make.make_tensor_value_info("num_samples", kinds.INT64, ["batch"]),
        ],
        [
            make.make_tensor_value_info("outputs", kinds.FLOAT, [1, 5, 4]),
            make.make_tensor_value_info("num_frames", kinds.INT64, [1]),
        ],
        [outputs, frames],
    )
    return make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)


def _exported(path: Path) -> object:
    model = ExportedModel.load(str(path.parent))
    return model.recognize([np.zeros(1600, np.float32)])


def _parameters() -> tuple[dict[str, torch.nn.Parameter], torch.optim.Optimizer]:
    parameters = {"head.weight": torch.nn.Parameter(torch.ones(2, 2))}
    return parameters, torch.optim.AdamW(parameters.values())


def _checkpoint(path: Path) -> object:
    return checkpoint.load(path.parents[1], *_parameters(), Progress())


def _checkpoint_seeds(folder: Path) -> Iterable[bytes]:
    step = folder / "step-00000003"
    checkpoint.save(
        folder,
        checkpoint.collected(*_parameters()),
        checkpoint.Position(1, 2, 3, best=(0.5,), best_scores={"wer": 0.5}),
    )
    return [(step / "position.json").read_bytes()]


def _run_seeds(content: Any) -> Any:
    def seeds(folder: Path) -> Iterable[bytes]:
        run = folder / "run"
        (run / "predictions").mkdir(parents=True)
        (run / "config.toml").write_text('model = "m"\ntrain = "a.jsonl"\ndev = "b.jsonl"\noutput = "run"\n')
        (run / "metrics.json").write_text(json.dumps(_METRICS))
        return [json.dumps(content).encode()]

    return seeds


def _run(path: Path) -> object:
    return read_run(path.parent)


MODEL_FILES = (
    Target("vocabulary", "vocabulary.json", _vocabulary, _given(*_DESCRIPTIONS), "json", 6, names_file=False),
    Target("vocab_json", "vocab.json", _spelling, _given(_LETTERS, {"ita": _LETTERS}), "json", 6, names_file=False),
    Target("tokenizer_json", "tokenizer.json", _spelling, _tokenizer_seeds, "json", 4, names_file=False),
    Target("exported", "exported.json", _exported, _exported_seeds, "json", 2, names_file=False),
    Target("checkpoint", "step-00000003/position.json", _checkpoint, _checkpoint_seeds, "json", 3, names_file=False),
    Target("metrics", "run/metrics.json", _run, _run_seeds(_METRICS), "json", 3),
    Target(
        "history",
        "run/metrics.jsonl",
        _run,
        _run_seeds({"version": 1, "epoch": 1, "loss": 2.0}),
        "jsonl",
        3,
    ),
    Target("plan_table", "run/plan.json", _run, _run_seeds(_PLAN), "json", 2),
    Target("sources", "run/sources.json", _run, _run_seeds(_SOURCES), "json", 2),
    Target("saved_model", "speechxfer.json", _opened, _saved, "json", names_file=False),
    Target("config_json", "config.json", _opened, _file_of_folder("config.json"), "json", names_file=False),
    Target(
        "preprocessor",
        "preprocessor_config.json",
        _opened,
        _file_of_folder("preprocessor_config.json"),
        "json",
        names_file=False,
    ),
    Target(
        "weights",
        "model.safetensors",
        lambda path: read_weights(path.parent),
        _file_of_folder("model.safetensors"),
        weight=2,
    ),
)
