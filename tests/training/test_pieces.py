"""Runs whose CTC head writes pieces of words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import speechxfer as sx
from speechxfer.cli import main
from speechxfer.data.vocabulary import Characters, Pieces
from speechxfer.errors import DataError
from speechxfer.heads.ctc.head import CTCHead
from tests.conftest import tone
from tests.training.conftest import Runs, interrupted, texts
from tests.training.test_usable import BAD, lines_of, write

PIECES: dict[str, Any] = {"ctc": {"units": "pieces", "vocabulary_size": 9}}
#: Of which most texts need more frames than are left.
CROWDED: dict[str, Any] = {"pooling": {"stride": 8}}


def head(runs: Runs, name: str) -> CTCHead:
    found = sx.load(str(runs.folder / name / "model"), device="cpu").head
    assert isinstance(found, CTCHead)
    return found


@pytest.mark.slow
def test_a_run_interrupted_and_resumed_has_the_same_losses(runs: Runs) -> None:
    log = runs.run("whole", PIECES)
    assert "9 pieces of words by byte-pair encoding: characters fit the frames of 100.0% of the training utt" in log
    interrupted(runs, "parts", 5, PIECES)
    runs.run("parts", PIECES, resume=True)
    assert runs.metrics("parts") == runs.metrics("whole")
    assert isinstance(head(runs, "whole").vocabulary, Pieces)
    assert head(runs, "parts").vocabulary.to_dict() == head(runs, "whole").vocabulary.to_dict()


@pytest.mark.slow
def test_it_learns_to_write(runs: Runs, corpus: Any) -> None:
    learning: dict[str, Any] = {
        "train": str(corpus("more", texts(60, 3))),
        "plan": {"train_top": None, "freeze_frontend": False, "head_only_ratio": 0.0},
        "training": {"epochs": 20, "batch_seconds": 2.0, "dropout": 0.0},
        "augment": {"mask_time_prob": 0.0, "mask_feature_prob": 0.0},
    }
    runs.run("run", PIECES, learning)
    assert runs.metrics("run")[-1]["dev_cer"] < 0.5
    model = sx.load(str(runs.folder / "run" / "model"), device="cpu")
    found = model.recognize([tone("ab a")])[0]
    assert found.text == " ".join(word.text for word in found.words)
    assert found.words
    assert all(0 <= word.start < word.end and 0 < (word.confidence or 0) <= 1 for word in found.words)


@pytest.mark.slow
def test_pieces_are_chosen_where_characters_do_not_fit(runs: Runs) -> None:
    log = runs.run("auto", CROWDED)
    assert isinstance(head(runs, "auto").vocabulary, Pieces)
    (line,) = [message for message in log.messages if "by byte-pair encoding" in message]
    assert "characters fit the frames of" in line
    asked = runs.run("characters", CROWDED, {"ctc": {"units": "characters"}})
    assert isinstance(head(runs, "characters").vocabulary, Characters)
    (line,) = [message for message in asked.messages if "too short for their text" in message]
    assert line.endswith("a smaller --frame-stride gives more, and pieces of words need fewer (--units pieces)")


@pytest.mark.slow
def test_lines_that_teach_nothing_count_nowhere(runs: Runs) -> None:
    import soundfile

    folder, good = Path(runs.base["train"]).parent, lines_of(runs.base["train"])
    soundfile.write(folder / "click.wav", tone("a")[:1600], 16_000)
    soundfile.write(folder / "endless.wav", tone("a" * 300), 16_000)
    (folder / "letter.wav").write_text("Dear Sir or Madam, ...")
    one = {"training": {"epochs": 1}}
    runs.run("without", PIECES, one)
    runs.run(
        "with",
        PIECES,
        one,
        {"train": write(folder, "mixed", [*good[:5], *[line for line, _ in BAD.values()], *good[5:]])},
    )
    assert runs.metrics("with") == runs.metrics("without")


@pytest.mark.slow
def test_a_checkpoints_own_pieces_are_kept_extended_or_replaced(runs: Runs, corpus: Any) -> None:
    one = {"training": {"epochs": 1}}
    runs.run("first", PIECES, one)
    own, model = head(runs, "first").vocabulary, {"model": str(runs.folder / "first" / "model")}
    log = runs.run("kept", one, model, {"ctc": {"units": "characters", "vocabulary_size": 5}})
    assert head(runs, "kept").vocabulary.to_dict() == own.to_dict()
    assert "has a CTC head for 9 pieces of words, which is kept" in log
    assert "ctc.units is 'characters', which has no effect in this run: the vocabulary of the checkpoint is kept" in log
    assert "ctc.vocabulary_size is 5, which has no effect in this run: the vocabulary" in log
    lines = lines_of(runs.base["train"])
    other = {"train": write(Path(runs.base["train"]).parent, "other", [{**line, "text": "ab xa"} for line in lines])}
    with pytest.raises(
        DataError, match=r"'x' occur in the training text .* has a CTC head for 9 pieces of words without"
    ):
        runs.run("refused", one, model, other)
    runs.run("extended", one, model, other, {"ctc": {"vocabulary": "extend"}})
    assert head(runs, "extended").vocabulary.symbols == (*own.symbols, "x")
    runs.run("new", one, model, {"ctc": {"vocabulary": "new"}})
    assert isinstance(head(runs, "new").vocabulary, Characters)


def test_dev_with_characters_that_no_piece_spells_is_reported_before_the_work(runs: Runs) -> None:
    lines = lines_of(runs.base["dev"])
    dev = write(Path(runs.base["train"]).parent, "odd", [*lines[:3], {**lines[3], "text": "ab zoo"}])
    with pytest.raises(DataError, match=r"odd\.jsonl:4: 'zo' does not occur in the training text.* --ignore-unknown"):
        runs.run("run", PIECES, {"dev": dev})
    log = runs.run("run", PIECES, {"dev": dev, "training": {"epochs": 1}, "ctc": {"ignore_unknown": True}})
    assert "they count as wrong" in log


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--vocabulary-size", "5000"], "ctc.vocabulary_size is 5000, but the training text supports"),
        (["--vocabulary-size", "3"], "the training text has 4 characters, each of which is a piece; wanted 4 or more"),
        (["--vocabulary-size", "-3"], "wanted at least 0"),
        (["--units", "syllables"], "'syllables' is not one of 'auto', 'characters', 'pieces'"),
    ],
)
def test_the_command_refuses_a_vocabulary_that_cannot_be(options: list[str], message: str, runs: Runs) -> None:
    settings = {name: runs.base[name] for name in ("model", "train", "dev")} | {"output": str(runs.folder / "run")}
    given = [part for name, value in settings.items() for part in (f"--{name}", value)]
    done = CliRunner().invoke(main, ["finetune", *given, *options])
    assert done.exit_code != 0
    assert message in " ".join(done.output.split())
    assert "Traceback" not in done.output
    assert not (runs.folder / "run").exists()
