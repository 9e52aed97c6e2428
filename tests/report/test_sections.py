"""Sections of the page: a file each, and one place that lists them."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest

from speechxfer.report import page, sections, write_report
from speechxfer.report.markup import Html, section
from speechxfer.report.run import FinishedRun
from tests.report.conftest import Folder


def test_each_section_has_a_file_of_its_own() -> None:
    files = {name for _, name, _ in pkgutil.iter_modules(sections.__path__)}
    assert {Path(importlib.import_module(one.__module__).__file__ or "").stem for one in sections.SECTIONS} == files
    assert len(sections.SECTIONS) == len(files)


def test_one_that_is_listed_is_shown(finished: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def speed(run: FinishedRun) -> Html:
        """A section as somebody would add it."""
        return section("Speed", f"{run.metrics['steps']} steps")

    monkeypatch.setattr(page, "SECTIONS", (*sections.SECTIONS, speed))
    assert "<h2>Speed</h2>20 steps" in write_report(finished.path).read_text()
