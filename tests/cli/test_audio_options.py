"""What of a file is read can be chosen; what is put up with is printed."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from speechxfer import audio
from speechxfer.cli.audio_options import audio_options
from speechxfer.errors import AudioError
from tests.audio.sounds import encode_parts, noise, peak_hz, tone


@click.command()
@click.argument("file")
@audio_options
def peak(file: str, reading: audio.Options) -> None:
    """Print the loudest frequency."""
    click.echo(round(peak_hz(audio.load(file, **reading)), -1))


def test_a_stream_and_a_channel_are_chosen(tmp_path: Path) -> None:
    call = encode_parts(tmp_path / "call.mkv", [(0, tone(400, 2))], 16_000, others=[("fra", tone(900, 2))])
    stereo = tmp_path / "call.wav"
    soundfile.write(stereo, np.stack([tone(400, 2), tone(900, 2)], axis=1), 16_000)
    for arguments, wanted in [
        ([call, "--audio-stream", "1"], "900.0\n"),
        ([stereo, "--audio-channel", "0"], "400.0\n"),
        ([stereo, "--audio-channel", "1"], "900.0\n"),
    ]:
        result = CliRunner().invoke(peak, list(map(str, arguments)))
        assert (result.exit_code, result.stdout, result.stderr) == (0, wanted, "")
    result = CliRunner().invoke(peak, [str(call)])
    assert result.stdout == "400.0\n"
    assert result.stderr.startswith(f"Warning: {call}: 2 audio streams: ")
    assert CliRunner().invoke(peak, [str(call), "--audio-stream", "-1"]).exit_code == 2


def test_strict_refuses_what_is_else_put_up_with(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    soundfile.write(path, noise(4), 16_000)
    path.write_bytes(path.read_bytes()[:-8_000])
    result = CliRunner().invoke(peak, [str(path)])
    assert result.exit_code == 0
    assert result.stderr.startswith(f"Warning: {path}: cut short")
    with pytest.raises(AudioError, match="cut short"):
        CliRunner().invoke(peak, [str(path), "--strict"], catch_exceptions=False)
