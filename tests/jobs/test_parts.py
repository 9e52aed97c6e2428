"""Rows in parts, each once."""

from speechxfer.jobs.parts import Ids, Part, Parts
from speechxfer.jobs.rows import Row


def row(number: int, duration: float | None = None) -> Row:
    return Row(f"{number}.wav", f"{number}.wav", 0.0, duration)


def test_a_part_ends_after_ten_minutes_of_sound_or_two_hundred_rows() -> None:
    long = [row(number, 250.0) for number in range(7)]
    assert [len(part.rows) for part in Parts(long, Ids())] == [3, 3, 1]
    short = [row(number, 0.1) for number in range(450)]
    assert [len(part.rows) for part in Parts(short, Ids())] == [200, 200, 50]


def test_rows_of_unknown_length_count_as_the_mean_of_those_that_are_computed() -> None:
    parts = Parts([row(number) for number in range(400)], Ids())
    assert len(next(parts).rows) == 20
    parts.learn(20, 100.0)
    assert len(next(parts).rows) == 120


def test_parts_are_made_when_they_are_asked_for() -> None:
    asked: list[int] = []

    def rows():
        for number in range(10**9):
            asked.append(number)
            yield row(number)

    next(Parts(rows(), Ids()))
    assert len(asked) <= 200


def test_rows_that_are_done_or_repeated_are_left_out_and_counted() -> None:
    before = Ids()
    before.add("1.wav")
    parts = Parts([row(0), row(1), row(0), row(2), row(1)], before)
    assert [one.id for part in parts for one in part.rows] == ["0.wav", "2.wav"]
    assert (parts.done, parts.repeated) == (1, 2)


def test_ids_are_known_beyond_those_that_are_kept_as_objects(monkeypatch) -> None:
    monkeypatch.setattr(Ids, "_LOOSE", 8)
    ids = Ids()
    assert all(ids.add(str(number)) for number in range(100))
    assert not any(ids.add(str(number)) for number in range(100))
    assert "17" in ids
    assert "100" not in ids
    assert len(ids) == 100


def test_a_lost_part_is_halved_down_to_single_rows() -> None:
    parts, single = [Part([row(number) for number in range(5)])], []
    while parts:
        part = parts.pop()
        (single if len(part.rows) == 1 else parts).extend([part] if len(part.rows) == 1 else part.halves())
    assert sorted(part.rows[0].id for part in single) == [f"{number}.wav" for number in range(5)]
    assert single[0].halves() == [Part(single[0].rows, single[0].attempts + 1)]
