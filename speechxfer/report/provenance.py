"""What a model was made of and with, and how to make it again."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from speechxfer.data.manifest import Manifest
from speechxfer.errors import DataError
from speechxfer.report.markup import Html, element, section, table
from speechxfer.report.run import FinishedRun
from speechxfer.runs import RunFolder


@dataclass(frozen=True)
class Size:
    """How much a manifest holds, as it is shown; "" for what it does not hold or say."""

    utterances: str
    #: Hours, minutes and seconds.
    audio: str
    words: str
    speakers: str

    @classmethod
    def of(cls, manifest: Manifest) -> Size:
        """Count; durations that the manifest does not say come from the files' headers."""
        texts = [utterance.text for utterance in manifest if utterance.text]
        speakers = {utterance.speaker for utterance in manifest if utterance.speaker}
        return cls(
            f"{len(manifest):,}",
            _clock(manifest),
            f"{sum(len(text.split()) for text in texts):,}" if texts else "",
            f"{len(speakers):,}" if speakers else "",
        )


def plan(run: FinishedRun) -> Html:
    """What was frozen, what was trained and how fast."""
    if not run.plan:
        return Html()
    told = f"{run.plan.trained:,} of {run.plan.total:,} parameters are trained."
    columns = run.plan.columns
    rows = table(columns, run.plan.rows, numbers=range(2, len(columns)))
    return section("Plan", element("p", told), rows)


def data(run: FinishedRun) -> Html:
    """How much was learned from, and how much measured on."""
    sizes = {name: Size.of(manifest) for name, manifest in run.manifests.items()}
    rows = [(name, size.utterances, size.audio, size.words, size.speakers) for name, size in sizes.items()]
    columns = ("split", "utterances", "audio", "words", "speakers")
    return section("Data", table(columns, rows, numbers=range(1, 5))) if rows else Html()


def again(run: FinishedRun) -> Html:
    """The command, as it was and as it would be again, the environment and the settings."""
    made_with = list(run.environment.facts.items()) if run.environment else []
    given = run.environment.command if run.environment else None
    folder = RunFolder(run.folder)
    command = f"speechxfer finetune --config {shlex.quote(str(folder.config_file))} --output {shlex.quote(f'{folder}-again')}"  # fmt: skip  # noqa: E501
    settings = folder.config_text
    return section(
        "How to reproduce",
        element("pre", command),
        element("p", "It was started as") if given else None,
        element("pre", given) if given else None,
        table(("made with", ""), made_with) if made_with else None,
        element("details", element("summary", folder.config_file.name), element("pre", settings)),
    )


def _clock(manifest: Manifest) -> str:
    try:
        seconds = round(manifest.with_durations().duration_s)
    except DataError:  # files that are not there any more
        return ""
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
