"""The lock: what `make demo`, `make test` and CI install."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ["build", "demo", "dev", "docs"]


def read(name):
    """Requirements of a lock and how many hashes each has."""
    text = (ROOT / f"requirements/{name}.txt").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {Requirement(re.sub(r"\s*--hash=\S+", "", line)): line.count("--hash=sha256:") for line in lines}


@pytest.mark.parametrize("name", LOCKS)
def test_every_version_is_exact_and_has_hashes(name):
    for requirement, hashes in read(name).items():
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], requirement
        assert hashes, requirement


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_host_and_no_index(name):
    text = (ROOT / f"requirements/{name}.txt").read_text()
    assert not re.search(r"://|--index|--extra-index|--find-links|@ ", text)


@pytest.mark.parametrize(("name", "extras"), [("demo", ["recipes"]), ("dev", ["recipes", "dev"]), ("docs", ["docs"])])
def test_the_lock_holds_what_is_declared(name, extras):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    declared, todo = list(project["dependencies"]), list(extras)
    while todo:
        for line in optional[todo.pop()]:
            if line.startswith("speechxfer["):
                todo += Requirement(line).extras
            else:
                declared.append(line)
    locked = {}
    for requirement in read(name):
        locked.setdefault(canonicalize_name(requirement.name), []).append(str(requirement.specifier).removeprefix("=="))
    for line in declared:
        wanted = Requirement(line)
        versions = locked.get(canonicalize_name(wanted.name), [])
        assert versions, f"{line} is not locked: make lock"
        assert all(wanted.specifier.contains(version) for version in versions), f"{line} is not {versions}: make lock"


def test_both_locks_agree():
    dev = {str(requirement) for requirement in read("dev")}
    assert {str(requirement) for requirement in read("demo")} <= dev
