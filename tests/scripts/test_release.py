"""What a release is checked with fits this repository."""

import re
import subprocess
import tomllib

from scripts.readme_blocks import _BLOCK, _INSTALLS
from tests.docs.pages import ROOT


def test_the_readme_has_blocks_that_run():
    blocks = _BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    languages = [language for language, code in blocks if not any(one in code for one in _INSTALLS)]
    assert {"sh", "python"} <= set(languages)


def test_the_image_copies_and_installs_what_there_is():
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    copied = [path for line in re.findall(r"^COPY (.*)", text, re.MULTILINE) for path in line.split()[:-1]]
    assert copied
    assert all((ROOT / path).exists() for path in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {project["readme"], *project["license-files"]} <= set(copied)
    (extras,) = re.findall(r"/source\[(.*?)\]", text)
    assert set(extras.split(",")) <= set(project["optional-dependencies"])


def test_the_release_check_is_valid_shell():
    subprocess.run(["bash", "-n", str(ROOT / "scripts" / "release_check.sh")], check=True)
