from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from speechxfer.cli import main


def test_the_cache_is_shown_and_removed(tmp_path: Path) -> None:
    entry = tmp_path / "frozen" / "abc" / "x.safetensors"
    entry.parent.mkdir(parents=True)
    entry.write_bytes(bytes(3 * 2**20))
    environment = {"SPEECHXFER_CACHE": str(tmp_path)}
    shown = CliRunner().invoke(main, ["cache"], env=environment)
    assert f"3.0 MB  {entry.parent}" in shown.output
    assert entry.exists()
    removed = CliRunner().invoke(main, ["cache", "--clear"], env=environment)
    assert removed.exit_code == 0
    assert not entry.exists()
    assert (tmp_path).exists()
    assert "0.0 MB  in all" in CliRunner().invoke(main, ["cache", "--cache-dir", str(tmp_path)]).output
