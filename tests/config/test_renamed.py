"""A setting's old name is refused with its new one, wherever it is given."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w

from speechxfer.config import FinetuneConfig, PlanConfig, build, nested, parse_setting, read_config, read_settings
from speechxfer.config.renamed import RENAMED
from speechxfer.config.values import kinds
from speechxfer.errors import ConfigError

SETTINGS = {name for name, kind in kinds(FinetuneConfig).items() if not kind.is_group} | {
    f"{group}.{name}" for group, kind in kinds(FinetuneConfig).items() if kind.is_group for name in kinds(kind.type)
}


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_is_refused_with_the_new_one(old: str, new: str, tmp_path: Path) -> None:
    assert old not in SETTINGS
    assert new in SETTINGS
    file = tmp_path / "config.toml"
    file.write_text(tomli_w.dumps(nested({old: 1})))
    for origin, give in (
        (f"--set {old}=1: ", lambda: parse_setting(f"{old}=1")),
        (f"{file}: ", lambda: read_settings(file)),
        (f"{file}: ", lambda: read_config(file)),
        ("", lambda: build(FinetuneConfig, nested({old: 1}))),
    ):
        with pytest.raises(ConfigError) as caught:
            give()
        assert str(caught.value) == f"{origin}{old} is now {new}; use the new name"


def test_an_old_name_is_refused_in_a_table_of_its_own() -> None:
    with pytest.raises(ConfigError, match=r"^plan\.head_first is now plan\.head_only_ratio; use the new name$"):
        build(PlanConfig, {"head_first": 0.2}, "plan.")
