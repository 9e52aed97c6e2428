"""The generated pages: they leave nothing out."""

import dataclasses

import click
import pytest

import speechxfer
from scripts.docs import api, commands, decisions, models, settings
from speechxfer.config import FinetuneConfig
from speechxfer.families.published import published_models
from tests.docs.pages import ROOT


def names(table, prefix=""):
    """All settings by walking the dataclasses themselves; heads add groups of their own."""
    for field in dataclasses.fields(table):
        inner = field.default_factory
        if dataclasses.is_dataclass(inner):
            yield from names(inner, f"{prefix}{field.name}.")
        elif inner is not dict:
            yield f"{prefix}{field.name}"
    for name, group in getattr(table, "added_groups", dict)().items():
        yield from names(group, f"{prefix}{name}.")


def listed():
    return [setting for _, _, group in settings.groups() for setting in group]


def test_the_page_has_every_setting_once():
    assert [setting.name for setting in listed()] == list(dict.fromkeys(sorted_as_listed()))
    page = settings.page()
    for name in names(FinetuneConfig):
        assert page.count(f"### `{name}` ") == 1


def sorted_as_listed():
    """A table's own settings come before those of the tables inside it."""
    return sorted(names(FinetuneConfig), key=lambda name: "." in name)


@pytest.mark.parametrize("setting", listed(), ids=lambda setting: setting.name)
def test_every_setting_says_what_it_means_and_may_be(setting):
    assert len(setting.meaning) > 10
    assert setting.meaning.endswith(".")
    assert setting.allowed


def test_meaning_default_and_range_are_those_of_the_dataclass():
    @dataclasses.dataclass
    class Table:
        """A table."""

        #: Said
        #: in two lines.
        first: int = 1
        second: str = ""
        # A remark, not a meaning.
        third: str = ""

    assert settings.meanings(Table) == {"first": "Said in two lines."}
    shown = {setting.name: setting for setting in listed()}
    assert shown["training.batch_seconds"].default == "`20.0`"
    assert shown["augment.mask_time_length"].allowed == "whole number, at least 1"
    assert shown["training.dropout"].allowed == "number, at least 0, less than 1"
    assert shown["training.cache"].allowed == "one of `auto`, `memory`, `disk`, `off`"
    assert shown["train"].default == ""
    assert shown["test"].default == "not set"


def test_the_page_has_every_command_and_every_option():
    page = commands.page()
    for context in commands.contexts():
        assert f"\n## {context.command_path.removeprefix('speechxfer ')}\n" in f"\n{page}"
        section = page.partition(f"## {context.command_path.removeprefix('speechxfer ')}\n")[2].partition("\n## ")[0]
        for option in context.command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.opts[0] in section, f"{context.command_path} {option.opts[0]}"


def test_the_page_has_every_public_name_once():
    page = api.page()
    for name in speechxfer.__all__:
        assert page.count(f"::: speechxfer.{name}\n") == 1


def test_there_is_a_page_for_each_decision():
    architecture = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = architecture.partition("## Decisions")[2]
    pages = decisions.pages(architecture)
    assert len(pages) == section.count("\n- **") + 1  # and the index
    assert all(len(text) > 60 for text in pages.values())


def test_a_decision_whose_title_is_a_sentence_begins_with_its_reason():
    pages = decisions.pages("# A\n\n## Decisions\n\n- **One thing.** Because\n  of that.\n- **Two**, though three.\n")
    assert pages["explanation/decisions/one-thing.md"].startswith("# One thing\n\nBecause of that.\n")
    assert pages["explanation/decisions/two.md"].startswith("# Two\n\nTwo, though three.\n")


def test_the_page_of_models_lists_each_that_opens_here_once():
    page = models.page()
    for model in published_models():
        assert page.count(f"| `{model.name}` |") == model.is_available
    assert page.count("## ") == 4
