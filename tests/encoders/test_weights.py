"""Which files of a folder are read, and what is said of those that were not copied or downloaded whole."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from speechxfer.encoders.files import read_json
from speechxfer.encoders.weights import read_weights, weight_files
from speechxfer.errors import CheckpointError

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22\nsize 135\n"


def tensors(value: float, *names: str) -> dict[str, torch.Tensor]:
    return {name: torch.full((2, 3), value) for name in names or ("weight", "bias")}


def sharded(folder: Path, value: float, name: str = "model", ending: str = "safetensors") -> list[Path]:
    files = [folder / f"{name}-0000{number}-of-00002.{ending}" for number in (1, 2)]
    for file, tensor in zip(files, ("weight", "bias"), strict=True):
        write(file, tensors(value, tensor))
    index = {"metadata": {}, "weight_map": {"weight": files[0].name, "bias": files[1].name}}
    (folder / f"{name}.{ending}.index.json").write_text(json.dumps(index))
    return files


def write(file: Path, state: dict[str, torch.Tensor]) -> None:
    save_file(state, file) if file.suffix == ".safetensors" else torch.save(state, file)


def values(folder: Path) -> set[float]:
    state = read_weights(folder)
    assert state.keys() == {"weight", "bias"}
    return {float(tensor.max()) for tensor in state.values()}


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_a_model_in_several_files_is_read_whole(ending: str, tmp_path: Path) -> None:
    sharded(tmp_path, 1.0, "model" if ending == "safetensors" else "pytorch_model", ending)
    assert values(tmp_path) == {1.0}


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_on_the_device_meta_only_names_and_shapes_are_read(ending: str, tmp_path: Path) -> None:
    sharded(tmp_path, 1.0, "model" if ending == "safetensors" else "pytorch_model", ending)
    with torch.device("meta"):
        state = read_weights(tmp_path)
    assert {name: (tensor.shape, tensor.device.type) for name, tensor in state.items()} == {
        "weight": ((2, 3), "meta"),
        "bias": ((2, 3), "meta"),
    }


#: What stands beside weights, and is none of them.
OTHERS = (
    "adapter_model.safetensors",
    "adapter.eng.safetensors",
    "optimizer.bin",
    "training_args.bin",
    "model.fp16.safetensors",
    "model-00003-of-00003.safetensors",
    "consolidated.safetensors",
    "tf_model.h5",
    "flax_model.msgpack",
    "scheduler.pt",
)


@pytest.mark.parametrize("form", ["safetensors", "bin", "sharded", "sharded bin"])
def test_nothing_else_in_the_folder_is_read(form: str, tmp_path: Path) -> None:
    if form.startswith("sharded"):
        sharded(tmp_path, 1.0, *(("pytorch_model", "bin") if form.endswith("bin") else ()))
    else:
        write(tmp_path / f"{'model' if form == 'safetensors' else 'pytorch_model'}.{form}", tensors(1.0))
    for name in OTHERS:
        write(tmp_path / name, tensors(2.0, "weight", "bias", "more")) if name.endswith("rs") else (tmp_path / name).write_bytes(b"x")  # fmt: skip  # noqa: E501
    assert values(tmp_path) == {1.0}


def test_a_single_file_from_an_earlier_save_is_not_read_where_an_index_names_others(tmp_path: Path) -> None:
    write(tmp_path / "model.safetensors", tensors(2.0))
    write(tmp_path / "pytorch_model.bin", tensors(3.0))
    pieces = sharded(tmp_path, 1.0)
    assert values(tmp_path) == {1.0}
    pieces[0].unlink()  # the index is what was left
    assert values(tmp_path) == {2.0}


def test_safetensors_come_before_pickles(tmp_path: Path) -> None:
    write(tmp_path / "pytorch_model.bin", tensors(2.0))
    write(tmp_path / "model.safetensors", tensors(1.0))
    assert values(tmp_path) == {1.0}


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
def test_numbers_of_any_precision_become_float32(kind: torch.dtype, tmp_path: Path) -> None:
    count = torch.tensor([7])
    save_file({"weight": torch.tensor([0.5, -2.0]).to(kind), "count": count}, tmp_path / "model.safetensors")
    state = read_weights(tmp_path)
    assert (state["weight"].dtype, state["weight"].tolist()) == (torch.float32, [0.5, -2.0])
    assert torch.equal(state["count"], count)


# What was not copied or downloaded whole


def test_a_file_that_an_index_names_is_missed_by_name(tmp_path: Path) -> None:
    missing = sharded(tmp_path, 1.0)[1]
    missing.unlink()
    with pytest.raises(CheckpointError, match=rf"lacks {missing.name}, one of 2 files that .* fetch it again"):
        read_weights(tmp_path)


@pytest.mark.parametrize("index", ["{}", '{"weight_map": []}', '{"weight_map": {"weight": "../outside.safetensors"}}'])
def test_an_index_names_files_of_its_own_folder(index: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(index)
    write(tmp_path.parent / "outside.safetensors", tensors(1.0))
    with pytest.raises(CheckpointError, match=r"names no files|wanted files of its own folder"):
        read_weights(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (POINTER, "is a pointer of Git LFS"),
        (b"", "is empty, so it was not downloaded or copied whole"),
        (b"<!DOCTYPE html><html>sign in</html>", "is a web page"),
        (b"\0" * 4096, "cannot be read|is damaged"),
        (b"\xff" * 4096, "cannot be read|is damaged"),
    ],
)
def test_what_is_in_a_file_s_place_is_named(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_weights(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(kept=st.floats(0.0, 0.999))
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_file_that_ends_early_is_reported_wherever_it_ends(name: str, kept: float, tmp_path: Path) -> None:
    file = tmp_path / name
    write(file, {"weight": torch.randn(50, 50)})
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(CheckpointError) as caught:
        read_weights(tmp_path)
    if kept * len(content) > 100:
        assert "so it was not downloaded or copied whole; fetch it again" in str(caught.value)


def test_a_download_that_was_not_finished_is_reported(tmp_path: Path) -> None:
    place = tmp_path / ".cache" / "huggingface" / "download"
    place.mkdir(parents=True)
    (place / "4fGa.incomplete").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"its download was not finished \(4fGa\.incomplete\)"):
        read_weights(tmp_path)
    (tmp_path / "model.safetensors.part").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"not finished \(model\.safetensors\.part\)"):
        read_weights(tmp_path)


def test_weights_under_another_name_are_named(tmp_path: Path) -> None:
    write(tmp_path / "model.fp16.safetensors", tensors(1.0))
    with pytest.raises(CheckpointError, match=r"holds no weights, but model\.fp16\.safetensors; wanted model"):
        weight_files(tmp_path)


class Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["zip", "plain"])
def test_code_in_a_pickle_is_not_run(form: str, tmp_path: Path) -> None:
    content = {"weight": Runs(tmp_path / "ran")}
    if form == "zip":
        torch.save(content, tmp_path / "pytorch_model.bin")
    else:
        (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(content))
    with pytest.raises(CheckpointError, match="which could run code and is not opened"):
        read_weights(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (POINTER, "is a pointer of Git LFS"),
        (b"", "is empty"),
        (b"<html>", "is a web page"),
        (b"{", "is not JSON"),
        (b"[1]", "holds a list; wanted an object"),
        (b"\xff\xfe{", "is not JSON"),
        (None, "lacks config.json"),
    ],
)
def test_a_configuration_that_is_none_is_reported(content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_json(tmp_path / "config.json")
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes('\ufeff{"a": 1}'.encode())
    assert read_json(tmp_path / "config.json") == {"a": 1}
