"""What fuzzing found stays fixed, and the fuzzer's contract can fail."""

import random
from pathlib import Path

import pytest

from scripts.fuzz.contract import Target, violation
from scripts.fuzz.mutations import mutated
from scripts.fuzz.targets import TARGETS
from speechxfer.errors import DataError

FOUND = Path(__file__).parent / "found"


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_seeds_and_what_was_found_are_read_or_refused(target, tmp_path):
    seeds = list(target.seeds(tmp_path))
    found = sorted((FOUND / target.name).glob("*"))
    for content in [*seeds, *(path.read_bytes() for path in found)]:
        problem = violation(target, content, tmp_path)
        assert problem is None, problem.what
    for seed in seeds:
        (tmp_path / target.file).write_bytes(seed)
        target.read(tmp_path / target.file)  # a seed is valid


def test_every_file_that_was_found_belongs_to_a_target():
    assert {path.name for path in FOUND.iterdir()} <= {target.name for target in TARGETS}


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (ValueError("x"), "ValueError"),
        (DataError("a.txt: " + "x" * 3000), "too long"),
        (DataError(""), "empty"),
        (DataError("somewhere"), "does not name the file"),
    ],
)
def test_the_contract_is_broken_by(error, what, tmp_path):
    def read(path):
        raise error

    target = Target("a", "a.txt", read, lambda folder: [b""])
    assert what in violation(target, b"", tmp_path).key


@pytest.mark.parametrize("syntax", ["json", "jsonl", "toml"])
def test_values_are_mutated(syntax):
    document = {"json": b'{"a": [1, "x"]}', "jsonl": b'{"a": 1}\n{"b": 2}\n', "toml": b'a = 1\n[b]\nc = "x"\n'}[syntax]
    numbers = random.Random(0)
    found = [one for _ in range(50) if (one := mutated(document, syntax, numbers))]
    assert len(set(found)) > 20
