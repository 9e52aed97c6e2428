"""JSON with a row for each utterance, however it is laid out."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer.data import rows
from speechxfer.errors import DataError

values = (
    st.text(st.sampled_from(list('ab,[]{}":\\é\n')), max_size=8) | st.integers() | st.lists(st.integers(), max_size=2)
)
objects = st.dictionaries(st.sampled_from(["audio", "text", "a b"]), values, min_size=1)


def laid_out(given_: list[dict[str, Any]], layout: str, indent: int | None) -> str:
    if layout == "lines":
        return "".join(json.dumps(row) + "\n" for row in given_)
    if layout == "one after the other":
        return "\n".join(json.dumps(row, indent=indent) for row in given_)
    if layout == "list":
        return "\n" + json.dumps(given_, indent=indent) + "\n"
    return json.dumps({"version": "1", "info": {"data": 0}, "data": given_, "more": [1]}, indent=indent)


@settings(max_examples=80)
@given(
    st.lists(objects, min_size=1, max_size=4),
    st.sampled_from(["lines", "one after the other", "list", "in an object"]),
    st.sampled_from([None, 0, 2]),
)
def test_every_layout_holds_the_same_rows(given_: list[dict[str, Any]], layout: str, indent: int | None) -> None:
    text = laid_out(given_, layout, indent)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.json")
        path.write_text(text)
        found = list(rows.read(path))
    assert [row for _, row in found] == given_
    for line, _ in found:
        assert text.splitlines()[line - 1].strip()[:1] in "{["


def test_lines_of_objects_in_a_list(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps({"data": [{"audio": "a"}, {"audio": "b"}]}, indent=1))
    assert [line for line, _ in rows.read(tmp_path / "m.json")] == [3, 6]


def test_what_is_missing_is_none(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"audio": "a", "label": NaN, "text": null, "x": [NaN], "y": "nan"}\n\n')
    ((_, row),) = rows.read(tmp_path / "m.jsonl")
    assert (row["label"], row["text"], row["y"]) == (None, None, "nan")


def test_lines_that_cannot_be_used_are_handed_over(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"a": 1\n{"a": 1}\n[1]\n{"a": 1, "a": 2}\n')
    refused: list[DataError] = []
    assert list(rows.read(tmp_path / "m.jsonl", refused=refused.append)) == [(2, {"a": 1})]
    assert [str(error).split("m.jsonl:")[1][0] for error in refused] == ["1", "3", "4"]


def test_a_list_that_was_cut_short_is_not_taken_for_a_shorter_one(tmp_path: Path) -> None:
    whole = json.dumps([{"audio": f"{number}.wav"} for number in range(3)])
    for size in range(1, len(whole)):
        (tmp_path / "m.json").write_text(whole[:size])
        with pytest.raises(DataError, match=r"m\.json: a JSON list that cannot be read"):
            list(rows.read(tmp_path / "m.json"))
