"""Every code block of the README and the tutorial does what the page says, as it is written there."""

import json
import os
import subprocess
import sys
import threading
import urllib.request
from http.server import HTTPServer
from pathlib import Path

import pytest
import soundfile

from tests.conftest import tone
from tests.docs.pages import Block, blocks

TEXTS = ["abc", "a b", "cab", "b c a", "ca", "bab", "cc a", "ab c", "b", "ac b"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with what the pages name: recordings with transcripts, three manifests and one call."""
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    for number, text in enumerate(TEXTS):
        soundfile.write(recordings / f"call{number:02}.wav", tone(text), 16_000)
        (recordings / f"call{number:02}.txt").write_text(text)
    lines = [{"audio": f"recordings/call{number:02}.wav", "text": text} for number, text in enumerate(TEXTS)]
    for name, part in {"train": lines[:6], "dev": lines[6:8], "test": lines[8:]}.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in part))
    soundfile.write(tmp_path / "call.wav", tone("a b c"), 16_000)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def in_a_shell(code: str) -> str:
    """Run commands as a user would, with this interpreter's programs first on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run(block: Block, names: dict) -> None:
    """Execute one block; what Python defines stays for the blocks after it."""
    if block.language == "sh":
        in_a_shell(block.code)
    elif block.language == "python":
        exec(compile(block.code, "<block>", "exec"), names)
    elif block.language == "json":
        assert all(json.loads(line) for line in block.code.splitlines())
    else:
        assert block.language == "text", f"unknown language {block.language!r}"


def run_page(page: str) -> dict:
    """Execute all blocks of a page in order; what Python defined."""
    names: dict = {}
    for block in blocks(page):
        if not block.not_run:
            run(block, names)
    return names


@pytest.mark.slow
def test_the_readme_runs_as_written(place, capsys):
    names = run_page("README.md")
    assert names["transcript"].text in capsys.readouterr().out
    assert (place / "runs/calls/report.html").is_file()


@pytest.mark.slow
def test_the_tutorial_runs_as_written_and_its_server_answers(place):
    names = run_page("docs/tutorial.md")
    assert len(list((place / "subtitles").glob("*.srt"))) == len(TEXTS)
    server = HTTPServer(("127.0.0.1", 0), names["Transcriber"])
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    recording = (place / "recordings/call00.wav").read_bytes()
    with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}", data=recording) as answer:
        assert answer.read().decode() == names["transcript"].text
    thread.join()
    server.server_close()


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_few_blocks_are_not_run(page):
    found = blocks(page)
    assert len(found) >= 5
    assert sum(not block.not_run for block in found) > sum(bool(block.not_run) for block in found)


def test_a_block_that_fails_fails_the_test(place):
    with pytest.raises(AssertionError, match="no-such-model"):
        run(Block("", "sh", "speechxfer transcribe no-such-model call.wav | cat\n"), {})
    with pytest.raises(NameError):
        run(Block("", "python", "undefined_name\n"), {})
