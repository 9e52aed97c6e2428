"""What runs and requests leave behind in a process."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from scripts.soak import Sample, growth, main, plot


@pytest.mark.slow
def test_thirty_runs_and_three_hundred_requests_leave_nothing_behind(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--runs", "30", "--requests", "300", "--plot", str(tmp_path / "soak.svg")])
    assert done.exit_code == 0, done.output
    assert "after each of 300 requests" in (tmp_path / "soak.svg").read_text()


def test_what_grows_is_seen_and_what_is_kept_from_the_start_is_not() -> None:
    kept = [Sample(100.0 if number < 10 else 400.0, 5, 2) for number in range(100)]
    assert growth(kept) == {"memory_mb": 0.0, "files": 0.0, "threads": 0.0}
    leaking = [Sample(100.0 + number, 5 + number, 2) for number in range(100)]
    assert growth(leaking) == {"memory_mb": 50.0, "files": 50.0, "threads": 0.0}


def test_a_picture_has_a_line_for_each_measure() -> None:
    picture = plot({"runs": [Sample(1.0, 2, 3), Sample(2.0, 2, 3)], "requests": [Sample(1.0, 2, 3)]})
    assert picture.count("<polyline") == 6
    assert "memory_mb after each of 2 runs: 1 to 2" in picture
