"""The study on a page: tables between the marks of docs/transfer.md, and a picture."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from scripts.study_transfer.cells import Setting, read, size
from scripts.study_transfer.judging import MOST_WORSE, best_of, by_setting, figures, worse
from scripts.study_transfer.picture import draw
from speechxfer.planner.page import duration
from speechxfer.storage import write_text
from speechxfer.transfer.presets import PRESETS

PAGE = Path("docs/transfer.md")
BEGIN, END = "<!-- tables: written by scripts/study_transfer -->", "<!-- end of tables -->"
SCRATCH = "from-scratch"


def write_page(results: Path, judged: Path) -> None:
    """Put the picture and the tables between the marks of the page, or at its end."""
    old = PAGE.read_text() if PAGE.exists() else "# What to transfer\n"
    before, _, rest = old.partition(BEGIN)
    after = rest.partition(END)[2]
    lines, picture = read(results), PAGE.with_suffix("").name + ".png"
    draw(lines, PAGE.parent / "images" / picture)
    shown = f"![error by amount of data and preset](images/{picture})\n\n{tables(lines, read(judged))}"
    write_text(PAGE, f"{before.rstrip()}\n\n{BEGIN}\n\n{shown}\n\n{END}\n\n{after.lstrip()}")
    click.echo(f"written: {PAGE}", err=True)


def tables(results: list[dict[str, Any]], judged: list[dict[str, Any]]) -> str:
    parts = ["## The grid"]
    for corpus, model in dict.fromkeys((line["corpus"], line["model"]) for line in results):
        parts += [f"### {corpus}, {model}", _grid([line for line in results if (line["corpus"], line["model"]) == (corpus, model)])]  # fmt: skip  # noqa: E501
    settings = by_setting(results)
    if judged:
        parts += ["## The planner", _judged(judged, settings)]
    parts += ["## Where transfer was negative", _negative(settings), "## Adapters against all weights", _lora(settings)]
    return "\n\n".join(parts)


def _grid(lines: list[dict[str, Any]]) -> str:
    sizes = sorted({line["minutes"] for line in lines}, key=lambda minutes: minutes or float("inf"))
    rows = []
    bests = {minutes: best_of(figures(line for line in lines if line["minutes"] == minutes)) for minutes in sizes}
    for preset in PRESETS:
        own = [line for line in lines if line["preset"] == preset]
        if own:
            cells = [[line for line in own if line["minutes"] == minutes] for minutes in sizes]
            rows.append([preset, *(_cell(cell, bests[minutes] == preset) for minutes, cell in zip(sizes, cells, strict=True))])  # fmt: skip  # noqa: E501
    figure = "accuracy" if "accuracy" in lines[0]["test"] else "WER, CER"
    return table([f"{figure} on test, time, memory", *map(size, sizes)], rows)


def _cell(lines: list[dict[str, Any]], is_best: bool) -> str:
    """Means over the seeds of the figure, of the ends of its interval, of time and memory."""
    if not lines:
        return "-"
    figure = "wer" if "wer" in lines[0]["test"] else "accuracy"
    value = f"{mean(lines, figure):.3f}"
    bounds = [line["test"]["interval"] for line in lines if line["test"]["interval"]]
    ends = [statistics.mean(end) for end in zip(*bounds, strict=True)]
    interval = f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else ""
    characters = f", {mean(lines, 'cer'):.3f}" if "cer" in lines[0]["test"] else ""
    seconds, memory = (statistics.mean(line[name] for line in lines) for name in ("cpu_s", "memory_mb"))
    seeds = f", {len(lines)} seeds" if len(lines) > 1 else ""
    return f"{f'**{value}**' if is_best else value}{interval}{characters}; {duration(seconds)}, {memory:.0f} MB{seeds}"


def mean(lines: Sequence[dict[str, Any]], figure: str) -> float:
    return statistics.mean(float(line["test"][figure]) for line in lines)


def _judged(judged: list[dict[str, Any]], settings: dict[Setting, list[dict[str, Any]]]) -> str:
    rows, chosen, textbook, agreed = [], [], [], 0
    for line in judged:
        lines = settings[Setting.of(line)]
        found, letters = figures(lines), figures(lines, "cer")
        best = best_of(found)
        by_letters = worse(letters[line["choice"]], min(letters.values()))
        by = " (CER)" if "cer" in lines[0]["test"] and found == letters else ""
        agreed += found[line["textbook"]] == found[best]
        chosen.append(worse(found[line["choice"]], found[best]))
        textbook.append(worse(found[line["textbook"]], found[best]))
        rows.append([
            Setting.of(line).name, f"{line['case']}: {line['textbook']}", f"{textbook[-1]:+.1%}", best,
            line["choice"], f"{chosen[-1]:+.1%}{by}", f"{by_letters:+.1%}" if "cer" in lines[0]["test"] else "-",
            f"{line['share']:.1%}",
        ])  # fmt: skip
    columns = ["setting", "textbook's case", "worse by", "best of the grid", "planner's choice", "worse by", "by CER", "time spent"]  # fmt: skip  # noqa: E501
    good, fair = (sum(value <= MOST_WORSE for value in values) for values in (chosen, textbook))
    verdict = f"The planner's choice is at most {MOST_WORSE:.0%} worse than the best in {good} of {len(rows)} settings."
    return "\n\n".join(
        [table(columns, rows), f"{verdict} The textbook's own way is in {fair}, and the best in {agreed}."]
    )


def _negative(settings: dict[Setting, list[dict[str, Any]]]) -> str:
    """The ways that did worse than the same shape from random weights."""
    rows = []
    for setting, lines in settings.items():
        found = figures(lines)
        for preset, value in found.items():
            if SCRATCH in found and value > found[SCRATCH]:
                rows.append([setting.name, preset, f"{abs(value):.3f}", f"{abs(found[SCRATCH]):.3f}"])
    if not rows:
        return "In no setting did a preset do worse than random weights."
    return table(["setting", "preset", "error rate or accuracy", "from scratch"], rows)


def _lora(settings: dict[Setting, list[dict[str, Any]]]) -> str:
    """Adapters beside every layer against the layers' own weights."""
    rows = []
    for setting, lines in settings.items():
        found = figures(lines)
        if {"lora", "fine-tune"} <= found.keys():
            lora = next(line for line in lines if line["preset"] == "lora")
            rows.append([
                setting.name, f"{abs(found['lora']):.3f}", f"{abs(found['fine-tune']):.3f}",
                f"{worse(found['lora'], found['fine-tune']):+.1%}", f"{lora['trained'] / lora['parameters']:.1%}",
            ])  # fmt: skip
    return table(["setting", "lora", "fine-tune", "worse by", "parameters trained"], rows)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [columns, ["---"] * len(columns), *rows])
