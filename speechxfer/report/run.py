"""What a run folder holds, whatever is missing: a run may have been interrupted, or have no test split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speechxfer.config import FinetuneConfig, build, merge, to_dict
from speechxfer.evaluation.results import Evaluation, Result
from speechxfer.runs import Environment, Epoch, InterpolationCurve, PlanTable, RunFolder, Split


@dataclass(frozen=True)
class FinishedRun:
    """A run's settings, its figures, and the predictions for each utterance of the test split."""

    folder: RunFolder
    config: FinetuneConfig
    #: As `Metrics` has them; empty until the run has ended.
    metrics: Mapping[str, Any]
    history: Sequence[Epoch]
    #: The results of the pre-trained and the adapted model on the test split.
    before: Evaluation | None
    after: Evaluation | None
    #: How much the manifests hold, by setting.
    splits: Mapping[str, Split]
    plan: PlanTable | None
    environment: Environment | None
    interpolation: InterpolationCurve | None
    #: What cannot be shown, and why.
    notes: Sequence[str] = ()

    @property
    def is_classifier(self) -> bool:
        """Whether the model predicts classes instead of text."""
        return self.config.head_type.is_classifier

    @property
    def worst(self) -> Sequence[Result]:
        """Utterances with errors, the worst first."""
        return [result for result in self.after.results if result.errors] if self.after else []

    @property
    def comparison(self) -> Mapping[str, Any] | None:
        """The adapted against the pre-trained model on the test split, as `Comparison.to_dict` has it."""
        return self.metrics.get("comparison")


def read_run(folder: Path, places: Mapping[str, Any] | None = None) -> FinishedRun:
    """Read a run's folder, and nothing else.

    Args:
        folder: of the run.
        places: where its manifests are now, by setting, if they have been moved: recordings are looked for there.

    Raises:
        ConfigError: the folder is no run's, or of an earlier version.
        DataError: a file of the run is damaged.
    """
    run = RunFolder(folder)
    run.check_run()
    config = build(FinetuneConfig, merge([to_dict(run.moved_config), places or {}]))
    metrics, beside = run.metrics, Path(config.test or "").parent
    before, after = (run.predictions("test", model, beside) for model in ("pre-trained", "adapted"))
    notes = []
    if "after" in metrics and after is None:
        file = run.predictions_file("test", "adapted")
        notes.append(f"There is no {file.relative_to(run.path)}, so utterances cannot be shown one by one.")
    sources = run.sources
    return FinishedRun(
        folder=run,
        config=config,
        metrics=metrics,
        history=run.history,
        before=before,
        after=after,
        splits=sources.splits if sources else {},
        plan=run.plan,
        environment=run.environment,
        interpolation=run.interpolation,
        notes=notes,
    )
