"""The card of an adapted model, as the Hugging Face hub reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechxfer.errors import ConfigError
from speechxfer.languages import language_code
from speechxfer.report.figures import (
    LANGUAGE_MODEL_COLUMNS,
    bounds,
    clock,
    language_model_rows,
    measured_on,
    metrics,
    part_of,
)
from speechxfer.report.run import FinishedRun, read_run
from speechxfer.storage import write_text

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

_TASKS = {True: "audio-classification", False: "automatic-speech-recognition"}
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def write_model_card(folder: Path, places: Mapping[str, Any] | None = None) -> Path:
    """Write the description of a run's model; an earlier one is replaced.

    Its front matter is what the hub lists and searches; no path, file name or transcript goes into it or the text.

    Args:
        folder: of the run.
        places: where its manifests are now, by setting, if they have been moved.

    Raises:
        ConfigError: the folder is no run's, or has no model yet.
        DataError: a file of the run is damaged.
        StorageError: the card cannot be written.
    """
    run = read_run(folder, places)
    path = run.folder.model_card
    if not path.parent.is_dir():
        raise ConfigError(f"{folder}: has no model yet; the first one is written after an epoch")
    write_text(path, f"---\n{_front_matter(run)}\n---\n\n{_text(run)}")
    return path


def _front_matter(run: FinishedRun) -> str:
    from huggingface_hub import ModelCardData

    base, language = _base(run), _language(run)
    data = ModelCardData(
        language=language,
        license="unknown",
        library_name="transformers" if _opens_in_transformers(run) else "speechxfer",
        pipeline_tag=_TASKS[run.is_classifier],
        tags=["speechxfer", "speech", run.config.head],
        base_model=base if _HUB_ID.fullmatch(base) and not Path(base).exists() else None,
        metrics=[metric.hub_name or name for name, metric in metrics(run).items()],
        model_name=_name(run),
        eval_results=_results(run) or None,
    )
    return data.to_yaml()


def _results(run: FinishedRun) -> list[EvalResult]:
    from huggingface_hub import EvalResult

    after = run.metrics.get("after", {})
    data = _data(run)
    return [
        EvalResult(
            task_type=_TASKS[run.is_classifier],
            dataset_type=re.sub(r"[^\w.-]+", "-", data.lower()),
            dataset_name=data,
            dataset_split="test",
            metric_type=metric.hub_name or name,
            metric_name=metric.title,
            metric_value=round(after[name], 4),
        )
        for name, metric in metrics(run).items()
        if name in after
    ]


def _text(run: FinishedRun) -> str:
    parts = [
        f"# {_name(run)}",
        f"{_base(run)} adapted to {_data(run)} with speechxfer.",
        "## Intended use",
        _use(run),
        "## How to load it",
        _loading(run),
        "## Training data",
        _sizes(run),
        "## Results",
        _measured(run),
        *_language_model(run),
        "## Limits",
        "\n".join(f"- {limit}" for limit in _limits(run)),
        "## License",
        "Not stated here. It follows from those of the pre-trained model and of the training data: put the right one "
        "into the first lines of this file before you share the model.",
    ]
    return "\n\n".join(parts) + "\n"


def _use(run: FinishedRun) -> str:
    if run.is_classifier:
        labels = [one["label"] for one in run.metrics.get("after", {}).get("classes", [])]
        classes = f" ({', '.join(labels)})" if 0 < len(labels) <= 50 else ""
        return f"Telling classes of speech apart{classes}, in audio like that it was adapted to."
    language = f" ({spoken})" if (spoken := _language(run)) else ""
    return f"Transcribing speech{language} that sounds like what it was adapted to."


def _loading(run: FinishedRun) -> str:
    command = "classify" if run.is_classifier else "transcribe"
    shown = 'print(model.classify("clip.wav").label)' if run.is_classifier else 'print(model.transcribe("call.wav").text)'  # fmt: skip  # noqa: E501
    lines = ["```python", "import speechxfer as sx", "", 'model = sx.load("path/to/this/folder")', shown, "```", ""]
    lines += ["```sh", f"speechxfer {command} path/to/this/folder recording.wav", "```"]
    if _opens_in_transformers(run):
        task = _TASKS[run.is_classifier]
        lines += ["", "```python", "from transformers import pipeline", ""]
        lines += [f'print(pipeline("{task}", "path/to/this/folder")("recording.wav"))', "```"]
    return "\n".join(lines)


def _sizes(run: FinishedRun) -> str:
    rows = [
        f"| {name.rpartition('.')[2]} | {split.utterances:,} | {clock(split.seconds) or '?'} | "
        f"{f'{split.words:,}' if split.words else '-'} | {split.speakers or '?'} |"
        for name, split in run.splits.items()
    ]
    head = ["| split | utterances | audio (h:mm:ss) | words | speakers |", "|---|--:|--:|--:|--:|"]
    return "\n".join([*head, *rows]) if rows else "Not known."


def _measured(run: FinishedRun) -> str:
    after, before, dev = (run.metrics.get(name, {}) for name in ("after", "before", "dev"))
    if not after:
        shown = ", ".join(f"{name} {value:.3f}" for name, value in dev.items())
        return f"No test split was measured. On dev, which also chose the epoch: {shown}." if dev else "Not measured."
    rows = []
    for name, metric in metrics(run).items():
        if name not in after:
            continue
        ends = bounds(after, name)
        shown = f"[{ends[0]:.3f}, {ends[1]:.3f}]" if ends else "-"
        unadapted = f"{before[name]:.3f}" if name in before else "-"
        rows.append(f"| {metric.title} | {unadapted} | {after[name]:.3f} | {shown} |")
    head = [f"| | before{part_of(before, after)} | adapted | interval |", "|---|--:|--:|---|"]
    comparison = run.comparison
    verdict = [f"\nOf the same utterances: {comparison['verdict']}"] if comparison else []
    return "\n".join([*head, *rows, f"\nOn the test split: {_without_name(run)}.", *verdict])


def _language_model(run: FinishedRun) -> Iterator[str]:
    """Greedy decoding and decoding with the language model side by side, where there is one."""
    if not (rows := language_model_rows(run.metrics)):
        return
    kept = run.metrics["language_model"]["kept"]
    yield "The model decodes with a language model:" if kept else "A language model was tried, and left out:"
    head = [f"| {' | '.join(LANGUAGE_MODEL_COLUMNS)} |", f"|---{'|--:' * (len(LANGUAGE_MODEL_COLUMNS) - 1)}|"]
    yield "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])


def _without_name(run: FinishedRun) -> str:
    """As on the page, but a file's name means nothing to others."""
    return measured_on(run).replace(f" of {Path(run.config.test or '').name}", "", 1)


def _limits(run: FinishedRun) -> Iterator[str]:
    yield "Audio of another kind (microphone, noise, accent, subject) than the training data's may give other error rates than these."  # noqa: E501
    yield from run.config.head_type.limits
    if run.is_classifier:
        return
    if (test := run.splits.get("test")) and test.speakers == 1:
        yield "The test split has a single speaker, so the figures say nothing of others."


def _name(run: FinishedRun) -> str:
    return run.folder.name


def _data(run: FinishedRun) -> str:
    return Path(run.config.test or run.config.train).absolute().parent.name


def _base(run: FinishedRun) -> str:
    """Where the pre-trained weights came from first; of a folder only its name."""
    from speechxfer.encoders.checkpoints import MODEL_FILE
    from speechxfer.encoders.files import read_json

    described: dict[str, Any] = {}
    if (path := run.folder.model / MODEL_FILE).is_file():
        described = read_json(path)
    source = str(described.get("source") or run.config.model)
    is_folder = Path(source).is_absolute() or Path(source).is_dir()
    return Path(source).absolute().name if is_folder else source


def _language(run: FinishedRun) -> str | None:
    """The code of the language, where the settings or all training utterances have one."""
    if run.config.language:
        return language_code(run.config.language) or run.config.language
    language = train.language if (train := run.splits.get("train")) else None
    return language if language and re.fullmatch(r"[a-z]{2,3}", language) else None


def _opens_in_transformers(run: FinishedRun) -> bool:
    return (run.folder.model / "config.json").is_file()
