"""The linter's list of coined words."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REFUSED = [("mend", "repair"), ("Anew", "From scratch"), ("colour", "color")]  # codespell:ignore


def codespell(path):
    return subprocess.run(
        [sys.executable, "-m", "codespell_lib", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("word", "instead"), REFUSED)
def test_a_coined_or_british_word_fails_with_the_one_to_use(tmp_path, word, instead):
    path = tmp_path / "page.md"
    path.write_text(f"{word} it\n")
    done = codespell(path)
    assert done.returncode
    assert f"{word} ==> {instead}" in done.stdout


def test_plain_english_passes(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("Repair the file. The color of silence. Train from scratch; the seam is where training begins.\n")
    assert codespell(path).returncode == 0


def test_the_list_is_sorted_and_corrects_nothing_with_a_word_of_its_own():
    entries = [line.split("->") for line in (ROOT / "scripts/words.txt").read_text().splitlines()]
    words = [word for word, _ in entries]
    assert words == sorted(set(words))
    assert not set(words) & {word for _, instead in entries for word in instead.replace(",", " ").split()}
