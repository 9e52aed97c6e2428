"""Times that people write."""

import pytest

import speechxfer as sx
from speechxfer.config.durations import in_words, seconds
from speechxfer.errors import ConfigError


@pytest.mark.parametrize(("text", "wanted"), [("90s", 90.0), ("15m", 900.0), ("1.5h", 5400.0), ("20", 20.0)])
def test_times(text: str, wanted: float) -> None:
    assert seconds(text, "--budget") == wanted


@pytest.mark.parametrize("text", ["", "0m", "5 days", "-3m"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--budget is .*; wanted a time, for instance 90s"):
        seconds(text, "--budget")


@pytest.mark.parametrize(
    ("value", "words"), [(45, "45 s"), (100, "2 min"), (720, "12 min"), (3600, "1 h 00 min"), (3900, "1 h 05 min")]
)
def test_times_in_words(value: float, words: str) -> None:
    assert in_words(value) == words


def test_a_setting_that_is_no_time_is_refused_where_it_is_given() -> None:
    assert sx.TrainingConfig(time="30m").time == "30m"
    with pytest.raises(ConfigError, match=r"training.time is 'soon'; wanted a time"):
        sx.TrainingConfig(time="soon")
