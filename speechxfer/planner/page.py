"""Write a plan: `plan.toml` for `finetune`, all figures as JSON, and a page that explains it, also how it fared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from speechxfer.planner.planner import Plan
from speechxfer.report.chart import Line, chart
from speechxfer.report.markup import Html, element, join, section, table
from speechxfer.report.page import document
from speechxfer.storage import write_json, write_text

#: Columns of the table of candidates.
COLUMNS = ("candidate", "trials: error (loss) after steps", "expected error on dev", "run", "memory", "")
#: Curves that are drawn; more are hard to distinguish.
_MOST_LINES = 6
_NOT_TRIED = "There was no time to try anything: the choice is what is expected to do best, and was not measured."
_FEW = (
    "A run that trains the whole encoder has about {:,} steps in its time. With few, its upper layers alone get "
    "further: they come first below 500 steps (2,000 where each utterance is used fewer than five times), with higher "
    "learning rates below 200."
)
_SPEEDS = (
    "The run uses its few minutes of speech so often that it also learns from two copies at other speeds "
    "(training.speed_copies), which the trials do without."
)
_READING = (
    "A trial trains at a constant rate, and is measured after its rate has fallen to 0. What is expected at the end is "
    "a power law through these points, its exponent known from other runs until there are enough points of its own; "
    "intervals are of 80 %. Errors are character error rates, or error rates of classes."
)


def write_plan(plan: Plan, path: Path) -> list[Path]:
    """Write `NAME.toml`, `NAME.html` and `NAME.json`, and return their paths.

    Raises:
        StorageError: it could not be written.
    """
    page, everything = path.with_suffix(".html"), path.with_suffix(".json")
    values = plan.to_dict()
    write_json(everything, values)
    write_text(page, as_html(values, path.name))
    write_text(path, tomli_w.dumps(plan.settings()))
    return [path, page, everything]


def write_outcome(path: Path, error: float) -> str:
    """Add to a plan what the run's error on dev was, and say how the prediction fared.

    Args:
        path: of the plan, `NAME.toml`.
        error: character error rate, or fraction of wrong classes.

    Raises:
        StorageError: it could not be written.
    """
    everything = path.with_suffix(".json")
    values = json.loads(everything.read_text(encoding="utf-8"))
    values["measured"] = error
    write_json(everything, values)
    write_text(path.with_suffix(".html"), as_html(values, path.name))
    return outcome(values)


def outcome(values: Mapping[str, Any]) -> str:
    """How the prediction fared, in words; "" where there is nothing to compare."""
    expected, measured = values["prediction"], values.get("measured")
    if expected is None or measured is None:
        return ""
    held = "within" if expected["low"] <= measured <= expected["high"] else "outside"
    return f"The plan expected an error of {_expected(expected)} on dev; it is {measured:.3f}, {held} the interval"


def rows(values: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Rows of the table of candidates, the chosen one first."""
    found: list[tuple[str, ...]] = []
    for one in values["candidates"]:
        trials = [f"{trial['error']:.3f} ({trial['loss']:.2f}) after {trial['steps']}" for trial in one["trials"]]
        cost = one["cost"]
        found.append(
            (
                one["name"], ", ".join(trials) or "not tried", _expected(one["expected"]) if one["expected"] else "",
                duration(one["run_s"]) if one["run_s"] else "", f"{cost['memory'] / 2**20:,.0f} MB" if cost else "",
                one["ruled_out"] or ("chosen" if one is values["candidates"][0] else ""),
            )
        )  # fmt: skip
    return found


def duration(seconds: float) -> str:
    """A duration as text: "45 s", "12 min", "3.4 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def as_html(values: Mapping[str, Any], toml: str) -> str:
    """The page of a plan, from its figures (`Plan.to_dict`)."""
    title = f"Plan: {values['candidates'][0]['name']}"
    parts = [
        element("header", element("h1", title), *(element("p", line) for line in _summary(values, toml))),
        section("Trials", _curves(values), table(COLUMNS, rows(values)), element("p", _READING)),
        section("Before the trials", *(element("p", line) for line in _prior(values)), _layers(values)),
    ]
    return f"<!DOCTYPE html>\n{document(title, *parts)}\n"


def _summary(values: Mapping[str, Any], toml: str) -> list[str]:
    expected = values["prediction"]
    lines = [] if values["was_tried"] else [_NOT_TRIED]
    if expected:
        lines.append(f"Expected error on dev, with an interval of 80 %: {_expected(expected)}.")
    if fared := outcome(values):
        lines.append(f"{fared}.")
    spent = f"Planned in {duration(values['spent_s'])} of {duration(values['budget_s'])}."
    return [*lines, f"{spent} speechxfer finetune --plan {toml} trains it."]


def _prior(values: Mapping[str, Any]) -> list[str]:
    case, steps = values["case"], values.get("whole_steps")
    return [
        *([_FEW.format(steps)] if steps else []),
        *([_SPEEDS] if values.get("at_other_speeds") else []),
        f"Data: {values['amount']['in_words']}.",
        f"Textbook's case {case['number']}, {case['name']}: {case['advice']} ({case['preset']}). It decides the "
        "order of the trials, not their outcome.",
    ]


def _curves(values: Mapping[str, Any]) -> Html:
    tried = [one for one in values["candidates"] if one["trials"]][:_MOST_LINES]
    lines = [
        Line(one["name"], [(100 * trial["fraction"], min(trial["error"], 1.5)) for trial in one["trials"]])
        for one in tried
    ]
    return chart("error on dev", lines, "percent of a whole run")


def _layers(values: Mapping[str, Any]) -> Html:
    lines = [
        Line(Path(name).name, list(enumerate(one["layers"])))
        for name, one in values["scores"].items()
        if one is not None
    ]
    if not lines:
        return element("p", "There was no time for scores of the layers.")
    lowest = min(value for line in lines for _, value in line.points)
    moved = [Line(line.name, [(x, y - lowest) for x, y in line.points]) for line in lines]
    text = "How much the layers of the model say of the data without training (LogME, above the lowest); the best layer index is where it is highest."  # noqa: E501
    return join([element("p", text), chart("evidence by layer index", moved, "layers below")])


def _expected(values: Mapping[str, float]) -> str:
    return f"{values['value']:.3f} [{values['low']:.3f}, {values['high']:.3f}]"
