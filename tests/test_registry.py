"""Registers: entries of this package and of packages that others install."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from speechxfer.errors import CheckpointError, ConfigError
from speechxfer.registry import PluginWarning, Register

GROUP = "speechxfer.tests"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that packages can be installed into."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def install(site: Path, package: str, code: str, points: str) -> None:
    (site / f"{package}.py").write_text(code)
    info = site / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{points}\n")


def test_entries_of_this_package_are_imported_when_they_are_asked_for() -> None:
    colors = Register("path type", type, group=GROUP, builtin={"path": "pathlib:Path", "wrong": "no_such_module:X"})
    assert list(colors) == ["path", "wrong"]
    assert colors["path"] is Path
    with pytest.raises(ModuleNotFoundError):
        colors["wrong"]


def test_a_package_of_others_adds_an_entry(site: Path) -> None:
    colors = Register("type", type, group=GROUP, builtin={"path": Path})
    assert "toy" not in colors
    install(site, "toys", "class Toy: pass\n", "toy = toys:Toy")
    assert "toy" not in colors
    colors.refresh()
    assert list(colors) == ["path", "toy"]
    assert colors["toy"].__name__ == "Toy"
    assert colors.find("toy") is colors["toy"]


@pytest.mark.parametrize(
    ("code", "points", "message"),
    [
        ("import no_such_module\n", "toy = toys:Toy", r"type 'toy' of toys cannot be used \(ModuleNotFoundError: "),
        (
            "Toy = 7\n",
            "toy = toys:Toy",
            r"type 'toy' of toys cannot be used \(toys:Toy is of type int; wanted",
        ),
        ("", "toy = toys:Toy", r"type 'toy' of toys cannot be used \(AttributeError: .*Toy"),
        ("class Toy: pass\n", "path = toys:Toy", r"type 'path' of toys is left out: speechxfer has one of this name"),
    ],
)
def test_what_cannot_be_used_is_named_and_the_rest_works(site: Path, code: str, points: str, message: str) -> None:
    install(site, "toys", code, points)
    install(site, "good", "class Good: pass\n", "good = good:Good")
    types = Register("type", type, group=GROUP, builtin={"path": Path})
    with pytest.warns(PluginWarning, match=message):
        assert set(types) == {"path", "good"}
    assert types["path"] is Path


def test_a_name_is_given_once(site: Path) -> None:
    for package in ("first", "second"):
        install(site, package, "class Toy: pass\n", f"toy = {package}:Toy")
    types = Register("type", type, group=GROUP, builtin={})
    with pytest.warns(PluginWarning, match="type 'toy' of (first|second) is left out: another package has one"):
        assert len(types) == 1


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    types = Register("head", type, group=GROUP, builtin={"path": Path}, hints={"transducer": "speechxfer-transducer"})
    with pytest.raises(ConfigError, match=r"^head is 'paht'; wanted one of path; did you mean path\?$"):
        types.find("paht")
    with pytest.raises(CheckpointError, match=r"model_type is 'x'; wanted one of path$"):
        types.find("x", CheckpointError, setting="model_type")
    with pytest.raises(ConfigError, match="it comes with the package speechxfer-transducer"):
        types.find("transducer")
