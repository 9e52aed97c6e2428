"""Tables as spreadsheets and programs write them."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer.data import columns, rows
from speechxfer.errors import DataError

cells = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
texts = st.text(st.sampled_from(list("ab é,;\t\"'\nд")), max_size=12)


def read(path: Path) -> list[dict[str, str | None]]:
    return [row for _, row in rows.read(path, columns.is_number)]


def write(folder: Path, text: str | bytes, name: str = "m.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@settings(max_examples=80)
@given(
    st.lists(st.tuples(cells.filter(str.strip), texts), min_size=1, max_size=4),
    st.sampled_from(",;\t"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]),
    st.sampled_from(["\r\n", "\n", "\r"]),
    st.integers(0, 3),
    st.booleans(),
)
def test_every_dialect_holds_the_same_rows(
    given_: list[tuple[str, str]], delimiter: str, encoding: str, end: str, empty_columns: int, said: bool
) -> None:
    buffer = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if end == "\r" else csv.QUOTE_MINIMAL  # the writer does not know all line ends as such
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=end, quoting=quoting)
    if said:
        buffer.write(f"sep={delimiter}{end}")
    writer.writerow([" Audio ", "Text", *[""] * empty_columns])
    for row in given_:
        writer.writerow([*row, *[""] * empty_columns])
    writer.writerow([""] * (2 + empty_columns))
    written = buffer.getvalue()
    if end == "\r":  # a file with such ends has no others
        written = written.replace("\n", "\r")
    with tempfile.TemporaryDirectory() as folder:
        found = read(write(Path(folder), written.encode(encoding)))
    wanted = [{"Audio": audio, "Text": text if text.strip() else None} for audio, text in given_]
    if end == "\r":
        wanted = [{name: cell and cell.replace("\n", "\r") for name, cell in row.items()} for row in wanted]
    assert found == wanted


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("audio,text,\na,b,\n", {"audio": "a", "text": "b"}),  # a delimiter behind everything
        ("audio,text\na,b,,,\n", {"audio": "a", "text": "b"}),  # or behind the rows alone
        ("audio,text,note\na,b\n", {"audio": "a", "text": "b", "note": None}),
        (",audio,text\n0,a,b\n", {"column_1": "0", "audio": "a", "text": "b"}),  # the index of pandas
        ("audio,text,,\na,b,,look!\n", {"audio": "a", "text": "b", "column_4": "look!"}),
        ("audio;duration\na;1,5\n", {"audio": "a", "duration": "1.5"}),
        ("audio;note\na;1,5\n", {"audio": "a", "note": "1,5"}),
        ('audio,duration\na,"1,5"\n', {"audio": "a", "duration": "1,5"}),
        ('"audio,x";text\na;b\n', {"audio,x": "a", "text": "b"}),
        ("audio,text\n , \na,\u00a0\n", {"audio": "a", "text": None}),
    ],
)
def test_what_spreadsheets_do_to_tables(tmp_path: Path, text: str, row: dict[str, str | None]) -> None:
    assert read(write(tmp_path, text)) == [row]


def test_numbers_of_lines_count_blank_rows_and_quoted_breaks(tmp_path: Path) -> None:
    path = write(tmp_path, 'sep=,\r\naudio,text\r\n,\r\na,"x\r\ny"\r\n\r\nb,z\r\n')
    assert [line for line, _ in rows.read(path)] == [4, 7]


def test_tabs_are_read_without_quoting_unless_excel_wrote_them(tmp_path: Path) -> None:
    line = 'path\tsentence\na\t"yes ""no"""\n'
    assert read(write(tmp_path, line, "m.tsv"))[0]["sentence"] == '"yes ""no"""'
    assert read(write(tmp_path, line.encode("utf-16"), "m.tsv"))[0]["sentence"] == 'yes "no"'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("audio,text,note\na\n", r"m\.csv:2: number of cells is 1; wanted 3"),
        ("audio,text\na,b,c\n", r"m\.csv:2: number of cells is 3; wanted 2"),
        ("audio,text, text\na,b,c\n", r"m\.csv:1: two columns are called 'text'"),
        ("audio,text\na,perch\u00e9\n".encode("cp1252"), r"m\.csv:2: not UTF-8 .*`iconv .* if 'perch\u00e9' is right"),
        ("audio,text\na,b\n".encode("utf-16") + b"\0", r"m\.csv: begins as UTF-16, but is not UTF-16 throughout"),
        ("<!DOCTYPE html>\n<html>\n", r"m\.csv: is a web page, .* download the file again"),
        (
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            r"m\.csv: is a pointer of Git LFS.*git lfs pull",
        ),
    ],
)
def test_tables_that_cannot_be_read(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, text))


def test_rows_that_cannot_be_used_are_handed_over(tmp_path: Path) -> None:
    refused: list[DataError] = []
    found = list(rows.read(write(tmp_path, "audio,text\na,b,c\nd,e\n"), refused=refused.append))
    assert found == [(3, {"audio": "d", "text": "e"})]
    assert len(refused) == 1


def test_a_written_table_keeps_the_order_of_its_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "audio,age,text,note\na,,x,\nb,7,,\n")
    rows.write(tmp_path / "o.csv", read(path))
    assert (tmp_path / "o.csv").read_bytes() == path.read_bytes().replace(b"\n", b"\r\n")
    rows.write(tmp_path / "o.csv", [{"audio": "a", "z": "1"}, {"audio": "b", "text": "x", "age": "7", "z": "2"}])
    assert (tmp_path / "o.csv").read_text().splitlines()[0] == "audio,text,age,z"
