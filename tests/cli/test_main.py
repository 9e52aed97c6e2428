"""The command as a user meets it, in a process of its own where that matters."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from speechxfer.cli import main


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


#: Prints the help of commands, one after the other, until one of them has imported what is large.
HELP = """
import sys
from speechxfer.cli import main
for command in sys.argv[1:]:
    main([*command.split(), "--help"], standalone_mode=False)
    if heavy := {"torch", "transformers", "av", "huggingface_hub"} & set(sys.modules):
        sys.exit(f"'{command} --help' imported {heavy}")
"""


def test_help_needs_no_torch() -> None:
    named = ("check", "classify", "compare", "doctor", "evaluate", "finetune", "manifest", "models", "transcribe")
    commands = ["", *named]
    done = subprocess.run([sys.executable, "-c", HELP, *commands], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage:") == len(commands)


@pytest.mark.slow
def test_import_speechxfer_needs_no_torch_and_offers_what_it_promises() -> None:
    code = (
        "import sys, speechxfer as sx\nassert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
        "assert sorted(sx.__all__) == sx.__all__\nfor name in sx.__all__: assert getattr(sx, name) is not None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_wrong_use_is_2_and_failure_is_1(tmp_path: Path) -> None:
    assert run("finetune", "--modle", "x")[0] == 2
    assert run("finetune", "--model", "x")[0] == 2
    assert run("finetune", "--config", str(tmp_path / "none.toml"))[0] == 2
    status, out, error = run("evaluate", "./nothing", str(tmp_path / "none.jsonl"))
    assert (status, out, error.count("\n")) == (1, "", 1)
    assert error.startswith("Error: ")


def test_the_whole_way_on_the_command_line(
    corpus: Callable[..., Path], whisper_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, dev = corpus("train", ["ab c", "ca b", "bb a"] * 3), corpus("dev", ["ab a", "c a"])
    monkeypatch.chdir(train.parent)
    options = ["--model", str(whisper_folder), "--train", "train.jsonl", "--dev", "dev.jsonl", "--epochs", "1"]
    status, out, error = run("finetune", *options, "--output", "../run", "--train-top", "1", "--seed", "3")
    assert (status, out) == (0, "")
    assert "layer 0" in error
    assert "frozen" in error
    assert "dev WER" in error
    monkeypatch.chdir(tmp_path)
    assert run("finetune", "--config", "run/config.toml", "--output", "again")[0] == 0
    first, again = ((tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("run", "again"))
    assert first == again
    status, out, error = run("evaluate", "run/model", str(dev), "--output", "wer.json")
    assert (status, out) == (0, "")
    result = json.loads((tmp_path / "wer.json").read_text())
    assert {"wer", "cer", "words", "utterances", "worst"} <= result.keys()
    assert (result["words"], result["utterances"]) == (4, 2)
    status, out, error = run("evaluate", "run/model", str(dev), "--prompt", "ab")
    assert (status, out) == (2, "")
    assert "Error: prompt is 'ab', but a ctc head has no such option; leave it out" in error
    status, out, _ = run("transcribe", "run/model", str(train.parent / "dev0.wav"), "--format", "json")
    assert status == 0
    assert json.loads(out)["duration"] > 0.5
    status, out, error = run("models", "show", "run/model", "--train-top", "1")
    assert "2 layers of width 32" in out
    assert error.count("frozen") == 2


def test_doctor_finds_this_machine_fit() -> None:
    status, out, _ = run("doctor")
    assert status == 0, out
    for name in ("python", "torch", "torchaudio", "soundfile", "av", "numba", "huggingface-hub", "gpu"):
        assert f"ok   {name} " in out


def test_doctor_warns_of_a_torchaudio_that_does_not_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchaudio").mkdir()
    broken = 'raise OSError("libtorchaudio.so: undefined symbol: f\\nand more")\n'
    (tmp_path / "torchaudio" / "__init__.py").write_text(broken)
    (tmp_path / "torchaudio-2.11.0.dist-info").mkdir()
    (tmp_path / "torchaudio-2.11.0.dist-info" / "METADATA").write_text("Name: torchaudio\nVersion: 2.11.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchaudio", raising=False)
    status, out, _ = run("doctor")
    assert status == 0
    assert "torchaudio     2.11.0 does not import (libtorchaudio.so: undefined symbol: f); not needed" in out
    assert "pip uninstall torchaudio" in out


def test_a_decoder_searches_as_it_is_reported(
    spelling_whisper: Path, tmp_path: Path, corpus: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = str(corpus("test", ["ab", "ca"]))
    monkeypatch.chdir(tmp_path)
    options = ["--beams", "2", "--prompt", "ab ba"]
    status, out, error = run("evaluate", str(spelling_whisper), manifest, *options)
    assert status == 0, error
    found = json.loads(out)
    assert (found["beams"], found["prompt"]) == (2, "ab ba")
    sound = str(next(tmp_path.rglob("test0.wav")))
    status, out, error = run("transcribe", str(spelling_whisper), sound, *options)
    assert status == 0, error
    status, _, error = run("transcribe", str(spelling_whisper), sound, "--context", "ab")
    assert (status, error.splitlines()[-1]) == (2, "Error: --context is now --prompt; wanted --prompt 'ab'.")
