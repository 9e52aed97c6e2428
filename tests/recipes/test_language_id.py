"""The language recipe: what is left out, the split over languages and voices."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

import speechxfer as sx

pytest.importorskip("num2words")
prepare = pytest.importorskip("recipes.language_id.prepare")

NAMES = [f"prompt-{number}" for number in range(60)]


def sound(path: Path, seconds: float = 1.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(int(8_000 * seconds)), 8_000)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both voices without a network: what the other recipe makes, and an unpacked package."""

    def prompts(language: str, output: Path, overwrite: bool) -> None:
        rows = []
        for name, seconds in [*((name, 1.5) for name in NAMES), ("letters/a", 1.5), ("short", 0.4)]:
            sound(output / "audio" / f"{name}.wav", seconds)
            rows.append(json.dumps({"audio": f"audio/{name}.wav", "text": "x", "prompt": name, "duration": seconds}))
        for split, part in {"train": rows[:40], "dev": rows[40:50], "test": rows[50:]}.items():
            (output / f"{split}.jsonl").write_text("\n".join(part) + "\n")

    def fetch_debs(packages: Sequence[str], folder: Path, unpacked: Path) -> bool:
        for name in ("agent-alreadyon", *NAMES, "phonetic/a", "beep"):
            sound(unpacked / "usr" / "sounds" / f"{name}.wav")
        return True

    monkeypatch.setattr(prepare, "prepare_prompts", prompts)
    monkeypatch.setattr(prepare, "fetch_debs", fetch_debs)
    return tmp_path


def run(folder: Path, languages: str = "it,fr,ru") -> Result:
    output = ["--prompts", str(folder), "--output", str(folder / "language_id")]
    return CliRunner().invoke(prepare.main, ["--languages", languages, *output])


def test_a_prompt_is_on_one_side_in_every_language_and_voice(made: Path) -> None:
    result = run(made)
    assert result.exit_code == 0, result.stderr
    read = {path.stem: sx.Manifest.read(path) for path in (made / "language_id").glob("*.jsonl")}
    prompts = {name: {item.extra["prompt"] for item in manifest} for name, manifest in read.items()}
    assert prompts["train"] | prompts["dev"] | prompts["test"] == set(NAMES)
    assert not prompts["train"] & (prompts["dev"] | prompts["test"] | prompts["other-voices-new"])
    assert not prompts["dev"] & prompts["test"]
    assert prompts["other-voices"] == {*NAMES, "agent-alreadyon"}
    assert {item.label for item in read["train"]} == {"fr", "it", "ru"}
    assert {item.label for item in read["other-voices"]} == {"fr", "it"}  # Russian has no second voice
    assert not {item.speaker for item in read["train"]} & {item.speaker for item in read["other-voices"]}
    for manifest in read.values():
        manifest.check_files()
    assert "Menardi" in (made / "language_id" / "ATTRIBUTION").read_text()


def test_made_once_and_for_other_languages_elsewhere(made: Path) -> None:
    assert run(made).exit_code == 0
    assert "already" in run(made).stderr
    assert run(made, "fr,it").exit_code == 2
    assert "wanted some of en, es, fr, it, ru" in run(made, "de,it").stderr


@pytest.mark.parametrize(
    ("name", "seconds", "usable"),
    [
        ("vm-goodbye", 1.2, True),
        ("digits/20", 1.2, True),
        ("letters/a", 1.2, False),
        ("phonetic/ICAO/a_p", 1.2, False),
        ("silence/5", 5.0, False),
        ("beep", 1.2, False),
        ("vm-goodbye", 0.9, False),
        ("vm-intro", 31.0, False),
    ],
)
def test_what_shows_a_language(name: str, seconds: float, usable: bool) -> None:
    assert prepare.is_usable(name, seconds) is usable


def test_without_the_package_it_says_which(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "fetch_debs", lambda *arguments: False)
    result = run(made)
    assert (result.exit_code, "asterisk-prompt-fr-armelle: apt-get could not" in result.stderr) == (1, True)
    assert not (made / "language_id").exists()
