"""The study's book-keeping: cells that are done are passed over, figures are compared the right way round."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.study_transfer import cells, page
from scripts.study_transfer.cells import Cell, Setting, append, fill, read
from scripts.study_transfer.judging import figures, worse
from scripts.study_transfer.page import BEGIN, END, write_page

SETTING = Setting("ivr-it", 5.0, "wav2vec2-nano")


def line(preset: str, seed: int = 1, **test: Any) -> dict[str, Any]:
    return {**Cell(SETTING, preset, seed, 20).key, "test": {"interval": [0.1, 0.3], **test}, "cpu_s": 60.0, "memory_mb": 900, "trained": 1, "parameters": 50}  # fmt: skip  # noqa: E501


def test_cells_that_are_done_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def apart(cell: Cell, threads: int) -> dict[str, Any] | None:
        ran.append(cell.preset)
        return None if cell.preset == "lora" else line(cell.preset, wer=0.2)

    monkeypatch.setattr(cells, "apart", apart)
    wanted = [Cell(SETTING, preset, 1, 20) for preset in ("fine-tune", "lora", "lower-layers")]
    results = tmp_path / "results.jsonl"
    append(results, line("fine-tune", wer=0.3))
    fill(wanted, results, threads=1)
    assert ran == ["lora", "lower-layers"]
    assert [item["preset"] for item in read(results)] == ["fine-tune", "lower-layers"]


def test_a_changed_setting_is_another_cell() -> None:
    usual, changed = Cell(SETTING, "lora", 1, 20), Cell(SETTING, "lora", 1, 20, ("plan.lora_rank=4",))
    assert "changes" not in usual.key
    assert [Cell.of(json.loads(json.dumps(cell.key))) for cell in (usual, changed)] == [usual, changed]


def test_figures_are_means_over_seeds_and_less_is_better() -> None:
    lines = [line("a", wer=0.2), line("a", 2, wer=0.4), line("b", wer=0.25)]
    assert figures(lines) == pytest.approx({"a": 0.3, "b": 0.25})
    assert worse(0.3, 0.25) == pytest.approx(0.2)
    accuracies = figures([line("a", accuracy=0.9), line("b", accuracy=0.99)])
    assert worse(accuracies["a"], accuracies["b"]) == pytest.approx(1 / 11)
    assert worse(0.0, 0.0) == 0.0


def test_characters_are_compared_where_hardly_a_word_is_right() -> None:
    hopeless = [line("a", wer=0.98, cer=0.9), line("b", wer=1.2, cer=0.6)]
    assert figures(hopeless) == {"a": 0.9, "b": 0.6}
    assert figures(hopeless, "wer") == {"a": 0.98, "b": 1.2}
    assert figures([*hopeless, line("c", wer=0.85, cer=0.5)])["b"] == 1.2


def test_the_page_keeps_what_stands_around_its_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written_page = tmp_path / "transfer.md"
    written_page.write_text(f"# Ours\n\nBefore.\n\n{BEGIN}\n\nold\n\n{END}\nAfter.\n")
    monkeypatch.setattr(page, "PAGE", written_page)
    results, judged = tmp_path / "results.jsonl", tmp_path / "results-judged.jsonl"
    append(results, line("fine-tune", wer=0.2, cer=0.1))
    append(results, line("lora", wer=0.3, cer=0.12))
    append(results, line("from-scratch", wer=0.25, cer=0.2))
    append(
        judged,
        {
            "corpus": "ivr-it", "minutes": 5.0, "model": "wav2vec2-nano", "case": 2, "textbook": "fine-tune",
            "best": "fine-tune", "choice": "lora", "share": 0.09,
        },
    )  # fmt: skip
    write_page(results, judged)
    written = written_page.read_text()
    assert "| fine-tune | **0.200** [0.100, 0.300], 0.100; 60 s, 900 MB |" in written
    assert (
        "at most 5% worse than the best in 0 of 1 settings. The textbook's own way is in 1, and the best in 1."
        in written
    )
    assert "| fine-tune | lora | +50.0% | +20.0% | 9.0% |" in written
    assert "| ivr-it, 5 min, wav2vec2-nano | lora | 0.300 | 0.250 |" in written
    assert "| ivr-it, 5 min, wav2vec2-nano | 0.300 | 0.200 | +50.0% | 2.0% |" in written
    assert (tmp_path / "images" / "transfer.png").stat().st_size > 10_000
    assert "old" not in written
    assert written.startswith("# Ours\n\nBefore.")
    assert written.endswith(f"{END}\n\nAfter.\n")
    write_page(results, judged)
    assert written_page.read_text() == written
