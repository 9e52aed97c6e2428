"""How to run it again: commands, environment and settings."""

from __future__ import annotations

import shlex

from speechxfer.report.markup import Html, element, section, table
from speechxfer.report.run import FinishedRun


def reproduce(run: FinishedRun) -> Html:
    """The command as it was, the command that repeats it, the environment and the settings."""
    folder, environment = run.folder, run.environment
    config, output = shlex.quote(str(folder.config_file)), shlex.quote(f"{folder}-again")
    facts = list(environment.facts.items()) if environment else []
    given = environment.command if environment else None
    return section(
        "How to reproduce",
        element("pre", f"speechxfer finetune --config {config} --output {output}"),
        element("p", "It was started as") if given else None,
        element("pre", given) if given else None,
        table(("made with", ""), facts) if facts else None,
        element("details", element("summary", folder.config_file.name), element("pre", folder.config_text)),
    )
