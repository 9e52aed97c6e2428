from __future__ import annotations

from pathlib import Path

import pytest

from speechxfer.errors import ConfigError
from speechxfer.stores import inside_of, is_url, joined, spelled
from speechxfer.stores.listing import fixed_part, is_pattern, matches


def test_urls_survive_pathlib() -> None:
    assert spelled(Path("s3://bucket/a.tar")) == "s3://bucket/a.tar"
    assert spelled("calls/a.wav") == "calls/a.wav"
    assert is_url("hf://datasets/x")
    assert not is_url("C:/calls/a.wav")
    assert not is_url("memory:00ff")


def test_addresses_join_as_paths_do() -> None:
    assert joined("s3://bucket/calls", "a/b.wav") == "s3://bucket/calls/a/b.wav"
    assert joined(Path("s3://bucket/calls"), "b.wav") == "s3://bucket/calls/b.wav"
    assert joined("calls", "https://host/b.wav") == "https://host/b.wav"
    assert joined("calls", "b.wav") == str(Path("calls/b.wav"))


def test_what_is_inside_of_a_file(tmp_path: Path) -> None:
    assert inside_of("s3://bucket/a.tar/b/c.wav") == ("s3://bucket/a.tar", "b/c.wav")
    assert inside_of("x.parquet/audio/17") == ("x.parquet", "audio/17")
    assert inside_of("a.tar") is None
    (tmp_path / "old.tar").mkdir()
    assert inside_of(f"{tmp_path}/old.tar/a.wav") is None
    assert inside_of(f"{tmp_path}/old.tar/new.tar/a.wav") == (f"{tmp_path}/old.tar/new.tar", "a.wav")


@pytest.mark.parametrize(
    "address",
    ["https://me:word@host/a.wav", "https://host/a.wav?X-Amz-Signature=word", "https://host/a.wav?a=1&sig=word"],
)
def test_addresses_with_secrets_are_refused_without_repeating_them(address: str) -> None:
    with pytest.raises(ConfigError, match="holds a password") as raised:
        spelled(address)
    assert "word@" not in str(raised.value)
    assert "=word" not in str(raised.value)


def test_patterns_and_ranges(tmp_path: Path) -> None:
    for name in ("a-000.tar", "a-001.tar", "b.tar", "a[1].tar"):
        (tmp_path / name).touch()
    assert [Path(one).name for one in matches(tmp_path / "a-*.tar")] == ["a-000.tar", "a-001.tar"]
    assert [Path(one).name for one in matches(tmp_path / "a-{001..002}.tar")] == ["a-001.tar", "a-002.tar"]
    assert is_pattern(tmp_path / "a-{001..002}.tar")
    assert not is_pattern(tmp_path / "a[1].tar")
    assert fixed_part("s3://bucket/calls/*/x-*.tar") == "s3://bucket/calls"
