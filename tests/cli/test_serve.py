"""`speechxfer serve`: what is refused before anything is opened, and a server that starts and stops."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from click.testing import CliRunner

from speechxfer import extras
from speechxfer.cli import main
from speechxfer.cli.serve import _token
from speechxfer.errors import ConfigError
from speechxfer.server.running import check_reach, model_names


def run(*arguments, **environment):
    return CliRunner().invoke(main, ["serve", *arguments], env={"SPEECHXFER_TOKEN": "", **environment})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_others_are_let_in_only_with_a_token(host):
    result = run("m", "--host", host)
    assert result.exit_code == 2
    assert "--token-file" in result.stderr
    check_reach(host, "secret")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_this_machine_needs_no_token(host):
    check_reach(host, None)


@pytest.mark.parametrize("content", ["", "  \n", "two words", "schlüssel", "one\ntwo"])
def test_a_token_file_without_a_usable_token(tmp_path, content):
    path = tmp_path / "token"
    path.write_text(content, encoding="utf-8")
    result = run("m", "--token-file", str(path))
    assert result.exit_code == 2
    assert str(path) in result.stderr


def test_where_the_token_is_from(tmp_path, monkeypatch):
    (tmp_path / "token").write_text("secret\n")
    monkeypatch.setenv("SPEECHXFER_TOKEN", "other")
    assert _token(tmp_path / "token") == "secret"
    assert _token(None) == "other"
    monkeypatch.delenv("SPEECHXFER_TOKEN")
    assert _token(None) is None
    with pytest.raises(ConfigError, match="cannot be read"):
        _token(tmp_path / "missing")


def test_names_of_models():
    assert model_names(["runs/calls/model", "it=x/y", "exported/", "wav2vec2-nano"]) == {
        "calls": "runs/calls/model", "it": "x/y", "exported": "exported/", "wav2vec2-nano": "wav2vec2-nano",
    }  # fmt: skip
    with pytest.raises(ConfigError, match="both be served as 'calls'"):
        model_names(["a/calls", "b/calls/model"])
    with pytest.raises(ConfigError, match="NAME=MODEL"):
        model_names(["=x"])


def test_a_missing_model_and_a_missing_package(monkeypatch):
    assert "nowhere/model" in run("nowhere/model").stderr
    monkeypatch.setattr(extras, "is_installed", lambda module: module != "uvicorn")
    result = run("m")
    assert result.exit_code == 2
    assert "pip install 'speechxfer[serve]'" in result.stderr


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    import torch

    from speechxfer.data.text import TextNormalizer
    from speechxfer.data.vocabulary import Characters
    from speechxfer.encoders.checkpoints import find
    from speechxfer.heads.ctc.head import CTCHead
    from speechxfer.model import SpeechModel
    from speechxfer.opening import open_checkpoint

    encoder = open_checkpoint(find("wav2vec2-nano")).encoder
    torch.manual_seed(0)
    head = CTCHead(encoder.width, encoder.output_frame_rate, Characters(["a", "b", " "]), TextNormalizer())
    folder = tmp_path_factory.mktemp("run") / "ab"
    SpeechModel(encoder, head, "wav2vec2-nano").save(folder)
    return folder


@pytest.mark.slow
def test_a_server_starts_answers_and_stops(model):
    command = [sys.executable, "-m", "speechxfer", "serve", str(model), "--port", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "SPEECHXFER_TOKEN": ""}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        line = process.stderr.readline()
        assert line.startswith("Serving ab at http://127.0.0.1:"), line + process.stderr.read()
        address = line.split()[3]
        with urllib.request.urlopen(f"{address}/v1/models") as response:
            assert b'"id":"ab"' in response.read()
        elsewhere = urllib.request.Request(f"{address}/v1/models", headers={"Host": "example.org"})
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(elsewhere)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)
        assert "Traceback" not in process.stderr.read()


def test_a_model_that_lacks_a_package_is_reported_in_a_line(model, monkeypatch, tmp_path):
    from speechxfer.decoding.lexicon import Weights
    from speechxfer.heads.fusion import Fusion
    from speechxfer.language_models import LanguageModel, train
    from speechxfer.model import SpeechModel

    fused = SpeechModel.load(str(model))
    fused.head.fuse(Fusion(LanguageModel.of(train(["a b"])), Weights(), 4))
    fused.save(tmp_path / "fused")
    monkeypatch.setattr(extras, "is_installed", lambda module: module != "numba")
    result = run(str(tmp_path / "fused"))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: beam search needs numba")
    assert "Traceback" not in result.stderr
