"""Commands on all pages name commands, options and settings that exist, also where they are not run."""

import re
import shlex

import click
import pytest

from scripts.docs import commands, settings
from tests.docs.pages import ROOT, blocks

PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/*.md", "docs/how-to/*.md", "docs/explanation/*.md", "recipes/*/README.md")
    for path in ROOT.glob(pattern)
)
COMMANDS = {context.command_path: context.command for context in commands.contexts()}
SETTINGS = {setting.name for _, _, group in settings.groups() for setting in group}


def lines(page):
    """The command lines of a page's shell blocks, as words."""
    for block in blocks(page):
        if block.language == "sh":
            for line in block.code.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if "speechxfer" in words:
                    yield words[words.index("speechxfer") :]


def command_of(words):
    """The command that a line names."""
    named = [path for path in COMMANDS if words[: len(path.split())] == path.split()]
    assert named, f"no such command: {' '.join(words)}"
    return COMMANDS[named[0]]


@pytest.mark.parametrize("page", [page for page in PAGES if list(lines(page))])
def test_commands_and_options_exist(page):
    for words in lines(page):
        if "--help" in words or words == ["speechxfer"]:
            continue
        command = command_of(words)
        known = {
            name
            for option in command.params
            if isinstance(option, click.Option) and not option.hidden
            for name in [*option.opts, *option.secondary_opts]
        }
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= known, " ".join(words)


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])  # which names old ones too
def test_settings_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"--set[ \n]([a-z0-9_]+\.[a-z0-9_.]+)=", text))
    groups = {name.partition(".")[0] for name in SETTINGS if "." in name} - {"encoder"}  # as in `encoder.run`
    for group, name in re.findall(r"`([a-z0-9_]+)\.([a-z0-9_]+)`", text):
        if group in groups and name not in ("py", "toml"):
            named.add(f"{group}.{name}")
    assert named <= SETTINGS, named - SETTINGS


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    generated = {"settings.md", "commands.md", "api.md", "models.md", "decisions/index.md"}
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        if not target.endswith(tuple(generated)):
            assert ((ROOT / page).parent / target).exists(), target


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "docs/explanation/architecture.md"])
def test_folders_and_modules_exist(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for name in re.findall(r"`([a-z0-9_]+(?:/[a-z0-9_]+)*(?:/|\.py))`", text):
        if name in ("model/", "checkpoints/"):  # of a run
            continue
        found = [*(ROOT / "speechxfer").rglob(name.rstrip("/")), *ROOT.glob(name)]
        assert found, f"{page} names {name}, which does not exist"
