"""Python code that sees only what `pip install speechxfer`, or an extra, brings, in an environment that has more."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent


def _installed(extra: str | None) -> set[str]:
    """Names of the packages that the plain requirements and those of an extra bring, with what these require."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    more = project["optional-dependencies"][extra] if extra else []
    todo, found = [*project["dependencies"], *more], {"speechxfer"}
    while todo:
        requirement = Requirement(todo.pop())
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        todo += [more for name in requirement.extras for more in project["optional-dependencies"].get(name, [])]
        if (name := canonicalize_name(requirement.name)) not in found:
            found.add(name)
            todo += importlib.metadata.requires(name) or []
    return found


def run(code: str, extra: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run code where nothing else can be imported."""
    there = _installed(extra)
    hidden = sorted(
        module
        for module, homes in importlib.metadata.packages_distributions().items()
        if module.isidentifier() and not {canonicalize_name(home) for home in homes} & there
    )
    assert {"torch", "transformers", "silero_vad"} <= set(hidden)
    assert extra or {"numba", "av", "jiwer"} <= set(hidden)
    hide = f"import sys\nsys.modules.update(dict.fromkeys({hidden!r}))\n"
    return subprocess.run([sys.executable, "-c", hide + code], capture_output=True, text=True, check=False)
