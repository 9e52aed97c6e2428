"""What works with `pip install speechxfer` alone, and what is reported where more is needed."""

import json
import tomllib
from pathlib import Path

import pytest
import soundfile
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import speechxfer as sx
from speechxfer import extras
from tests import plain_install
from tests.conftest import tone

_ARPA = "\\data\\\nngram 1=3\n\n\\1-grams:\n-1 <s> 0\n-1 </s>\n-1 ab\n\n\\end\\\n"

RUN = """
import io, json, sys, contextlib
from speechxfer.cli import main
found = []
for arguments in json.loads({arguments!r}):
    out, error, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            main(arguments)
        except SystemExit as end:
            status = end.code
    found.append((status, out.getvalue(), error.getvalue()))
print(json.dumps(found))
"""


def results(commands):
    """Exit status, standard output and standard error of each."""
    done = plain_install.run(RUN.format(arguments=json.dumps(commands)))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_help_of_every_command():
    from speechxfer.cli import main

    for status, out, error in results([["--help"], *([name, "--help"] for name in main.list_commands(None))]):
        assert (status, error) == (0, "")
        assert out.startswith("Usage: ")


#: Error rates need less than torch, so that comes first.
_REMEDIES = tuple(
    f"{module} is not installed; python -m pip install 'speechxfer[{extra}]'\n"
    for module, extra in (("torch", "train"), ("jiwer", "evaluate"))
)


def test_each_command_that_needs_torch_names_the_extra(tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", tone("ab"), 16_000)
    (tmp_path / "a.txt").write_text("ab\n")
    manifest = tmp_path / "a.jsonl"
    manifest.write_text('{"audio": "a.wav", "text": "ab"}\n')
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.toml").write_text("")
    data, model, new = str(manifest), "wav2vec2-nano", str(tmp_path / "new")
    (tmp_path / "a.arpa").write_text(_ARPA)
    splits = ["--model", model, "--train", data, "--dev", data, "--output", new]
    commands = [
        ["align", "--model", model, str(tmp_path / "a.wav"), str(tmp_path / "a.txt")],
        ["calibrate", model, "--dev", data, "--output", new],
        ["classify", model, str(tmp_path / "a.wav")],
        ["compare", model, model, data],
        ["evaluate", model, data],
        ["export", model, new],
        ["finetune", *splits],
        ["interpolate", str(run)],
        ["lm", "tune", model, "--lm", str(tmp_path / "a.arpa"), "--dev", data, "--output", new],
        ["manifest", "align", "--model", model, data, f"{new}.jsonl"],
        ["manifest", "truecase", "--model", model, data, f"{new}.jsonl"],
        ["models", "show", model],
        ["plan", *splits],
        ["probe", *splits],
        ["report", str(run)],
        ["transcribe", model, str(tmp_path / "a.wav")],
    ]
    for command, (status, out, error) in zip(commands, results(commands), strict=True):
        assert (status, out) == (2, ""), (command, error)
        assert error.startswith("Error: "), command
        assert error.endswith(_REMEDIES), (command, error)
        assert error.count("\n") == 1, error
    assert not list(tmp_path.glob("new*"))


def test_what_needs_only_the_plain_packages(tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", tone("ab"), 16_000)
    manifest, arpa = tmp_path / "a.jsonl", str(tmp_path / "a.arpa")
    commands = [
        ["manifest", "from-folder", str(tmp_path), str(manifest)],
        ["lm", "train", str(tmp_path / "b.txt"), "--output", arpa],
        ["lm", "perplexity", arpa, str(tmp_path / "b.txt")],
        ["models", "list"],
        ["doctor"],
    ]
    (tmp_path / "b.txt").write_text("ab ba\nab\n")
    for status, out, error in results(commands):
        assert status == 0, error or out


def test_python_names_the_extra(tmp_path: Path):
    manifest = tmp_path / "a.jsonl"
    soundfile.write(tmp_path / "a.wav", tone("ab"), 16_000)
    manifest.write_text('{"audio": "a.wav", "text": "ab"}\n')
    code = f"""
import speechxfer as sx
for call in (
    lambda: sx.finetune("wav2vec2-nano", train="a.jsonl", dev="b.jsonl", output="c"),
    lambda: sx.load("wav2vec2-nano"),
    lambda: sx.SpeechModel,
    lambda: sx.evaluate("wav2vec2-nano", {str(manifest)!r}),
):
    try:
        call()
    except sx.MissingPackageError as error:
        assert isinstance(error, ImportError) and isinstance(error, sx.SpeechxferError)
        print(error)
"""
    done = plain_install.run(code)
    assert done.stdout.count("python -m pip install 'speechxfer[train]'\n") == 4, done


def test_compressed_sound_names_the_extra(tmp_path: Path):
    soundfile.write(tmp_path / "a.ogg", tone("ab"), 16_000)
    soundfile.write(tmp_path / "a.flac", tone("ab"), 16_000)
    code = f"""
import speechxfer.audio as audio
from speechxfer.errors import AudioError
assert len(audio.load({str(tmp_path / "a.flac")!r}))
try:
    audio.load({str(tmp_path / "a.ogg")!r})
except AudioError as error:
    print(error)
"""
    done = plain_install.run(code)
    assert done.stdout.startswith(f"{tmp_path / 'a.ogg'}: only FFmpeg can read it"), done.stderr
    assert "python -m pip install 'speechxfer[media]'" in done.stdout


def test_beam_search_names_the_extra():
    code = """
import numpy as np
from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Characters
from speechxfer.decoding.options import DecodingOptions
from speechxfer.errors import ConfigError
from speechxfer.heads.ctc.reader import CTCReader
reader = CTCReader(Characters("ab"), TextNormalizer("basic"), 50.0)
frames = np.log(np.full((1, 4, 3), 1 / 3, "f4"))
reader.read(frames, [4], DecodingOptions(beams=1))
try:
    reader.read(frames, [4], DecodingOptions(beams=4))
except ConfigError as error:
    print(error)
"""
    done = plain_install.run(code)
    wanted = "beam search needs numba, but numba is not installed; python -m pip install 'speechxfer[beam]'\n"
    assert done.stdout == wanted, done.stderr


@pytest.mark.parametrize("extra", extras.EXTRAS)
def test_the_list_is_that_of_the_project(extra):
    project = tomllib.loads((plain_install.ROOT / "pyproject.toml").read_text())["project"]
    declared = {canonicalize_name(Requirement(line).name) for line in project["optional-dependencies"][extra]}
    assert {canonicalize_name(module) for module in extras.EXTRAS[extra]} == declared - {"speechxfer"}


def test_a_package_of_somebody_else_is_not_ours_to_explain():
    with pytest.raises(ModuleNotFoundError) as found, extras.explained():
        import of_somebody_else  # noqa: F401
    assert not isinstance(found.value, sx.MissingPackageError)
