"""What Unicode's characters are to a transcript."""

from __future__ import annotations

import pytest

from speechxfer.data.characters import joined


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["good", "morning"], "good morning"),
        (["", "one", "", "two"], "one two"),
        (["今天", "很好"], "今天很好"),
        (["今天。", "很好"], "今天。很好"),
        (["今天", "okay", "很好"], "今天 okay 很好"),
        (["안녕하세요", "여러분"], "안녕하세요 여러분"),
        ([], ""),
    ],
)
def test_texts_are_joined_as_their_script_is_written(texts: list[str], expected: str) -> None:
    assert joined(texts) == expected
