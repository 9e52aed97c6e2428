"""Run the tests with the newest versions that pyproject.toml allows; print what differs from the lock and what fails.

python scripts/newest.py [--venv FOLDER] [pytest arguments]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: A pinned version: name, version and, after a semicolon, where it applies.
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def pins(text: str) -> dict[str, str]:
    """Version by normalized name, of a requirements file or of `pip freeze`."""
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in _PIN.findall(text)}


def changes(locked: dict[str, str], installed: dict[str, str]) -> list[str]:
    """One line for each package whose version is not the locked one."""
    names = sorted(name for name in installed if installed[name] != locked.get(name))
    return [f"{name} {locked.get(name, '(not locked)')} -> {installed[name]}" for name in names]


def main() -> int:
    """Install, compare, test; returns the tests' exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv-newest", help="recreated each time")
    options, pytest_arguments = parser.parse_known_args()
    venv.create(options.venv, clear=True, with_pip=True)
    python = options.venv / ("Scripts" if os.name == "nt" else "bin") / "python"
    # Tests build a package, for which the setuptools of a new environment may be too old.
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--upgrade", "setuptools"], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--editable", f"{ROOT}[recipes,dev]"], check=True)
    frozen = subprocess.run([python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True).stdout
    newer = changes(pins((ROOT / "requirements/dev.txt").read_text(encoding="utf-8")), pins(frozen))
    print(f"{len(newer)} packages are not the locked version", *newer, sep="\n  ", flush=True)
    tests = [python, "-m", "pytest", "-rfE", "-m", "", *pytest_arguments]  # those marked slow, too
    status = subprocess.run(tests, cwd=ROOT, check=False).returncode
    verdict = "pass" if status == 0 else "FAIL: see the list above; the package at fault is likely among those listed"
    print(f"Tests with the newest versions {verdict}", *(newer if status else []), sep="\n  ")
    return status


if __name__ == "__main__":
    sys.exit(main())
