"""Write a plan: `plan.toml` for `finetune`, a page that explains it, a picture, and all figures as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tomli_w

from speechxfer.planner.drawing import draw_plan
from speechxfer.planner.planner import Plan
from speechxfer.storage import write_json, write_text


def write_plan(plan: Plan, path: Path) -> list[Path]:
    """Write `NAME.toml`, `NAME.md`, `NAME.png` and `NAME.json`, and return their paths.

    Raises:
        StorageError: it could not be written.
    """
    page, picture, everything = (path.with_suffix(suffix) for suffix in (".md", ".png", ".json"))
    write_json(everything, plan.to_dict())
    draw_plan(plan, picture)
    write_text(page, as_markdown(plan, path.name, picture.name))
    write_text(path, tomli_w.dumps(plan.settings()))
    return [path, page, picture, everything]


def as_markdown(plan: Plan, toml: str, picture: str) -> str:
    """The page in Markdown."""
    parts = [
        f"# Plan: {plan.choice.title(several=plan.several)}",
        _summary(plan, toml),
        f"![error by layer and by trial]({picture})",
        "## Why",
        f"Data: {plan.amount}.",
        *(_similar(plan, model) for model in plan.probes),
        f"Textbook's case {plan.case.number}, {plan.case.name}: {plan.case.advice} (`{plan.case.preset}`). {_verdict(plan)}",  # noqa: E501
        "## Candidates",
        _table(COLUMNS, rows(plan)),
        _READING,
    ]
    return "\n\n".join(parts) + "\n"


_READING = (
    "Trials are complete runs with fewer epochs; every round keeps a third of the candidates (successive halving). "
    "Errors are character error rates, or error rates of classes; while all are above 0.5, losses decide. Candidates "
    "that train more learn slower and end better, so the shorter the trials, the larger the margin by which the most "
    "promising candidate has to be beaten. Time and memory are predicted from a few timed steps, and after a trial "
    "from its time."
)
#: Columns of the table of candidates.
COLUMNS = ("candidate", "trained", "whole run", "memory", "trials: error (loss) after epochs")


def rows(plan: Plan) -> Sequence[tuple[str, ...]]:
    """Rows of the table of candidates, best first."""
    found = []
    for one in plan.ranking():
        cost = plan.price(one)
        trials = [held[one] for held in plan.rounds if one in held]
        results = ", ".join(f"{trial.error:.3f} ({trial.loss:.2f}) after {trial.epochs}" for trial in trials)
        seconds = duration(cost.run_s(plan.base.training.epochs))
        memory = f"{cost.memory / 2**20:,.0f} MB"
        found.append(
            (
                one.title(several=plan.several),
                f"{cost.trained / cost.parameters:.1%}",
                seconds,
                memory,
                results or "not tried",
            )
        )
    return found


def duration(seconds: float) -> str:
    """A duration as text: "45 s", "12 min", "3.4 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _summary(plan: Plan, toml: str) -> str:
    outcome, cost = plan.last(plan.choice), plan.price(plan.choice)
    epochs = plan.base.training.epochs
    tried = "Not tried for lack of time, but expected to be the best"
    if outcome is not None:
        tried = f"Error {outcome.error:.3f} on dev after a trial of {outcome.epochs} epochs"
    return (
        f"{tried}. A whole run of {epochs} epochs is "
        f"expected to take {duration(cost.run_s(epochs))} and {cost.memory / 2**20:,.0f} MB beside the libraries. "
        f"Planned in {duration(plan.spent_s)} of {duration(plan.budget_s)}.\n\n"
        f"    speechxfer finetune --plan {toml} --train … --dev … --output …"
    )


def _similar(plan: Plan, model: str) -> str:
    similar, probe = plan.similarities[model], plan.probes[model]
    table = _table(("measure", "value", "", "meaning"), similar.table())
    best = f"The best layer has {probe.best.seam} of {probe.depth} below it (error {probe.best.error:.3f}, spectrogram {probe.raw.error:.3f})."  # fmt: skip  # noqa: E501
    return f"{model}: the domain is {similar.verdict}. {best}\n\n{table}"


def _verdict(plan: Plan) -> str:
    if plan.last(plan.choice) is None:
        return "There was no time for a trial of it."
    if plan.choice.preset == plan.case.preset:
        return "The trials agree."
    tried = {one.preset for held in plan.rounds for one in held}
    if plan.case.preset not in tried:
        return "There was no time to try it."
    return f"The trials contradict: `{plan.choice.preset}` is better."


def _table(columns: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    bars = [columns, tuple("---" for _ in columns), *lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in bars)
