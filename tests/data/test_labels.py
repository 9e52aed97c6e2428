from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from speechxfer.data.labels import ClassLabels
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.errors import CheckpointError, DataError


def manifest(labels: Sequence[str | None], name: str = "train.jsonl") -> Manifest:
    return Manifest(
        (
            Utterance(audio=f"{number}.wav", label=label, origin=f"{name}:{number}")
            for number, label in enumerate(labels, start=1)
        ),
        Path(name),
    )


def test_classes_are_sorted_and_numbered() -> None:
    data = manifest(["no", "yes", "no", "maybe"])
    labels = ClassLabels.from_manifest(data)
    assert labels.names == ("maybe", "no", "yes")
    assert [labels.numbers(utterance) for utterance in data] == [[1], [2], [1], [0]]
    assert ClassLabels(**labels.to_dict()).names == labels.names
    assert labels.counts(data) == {"maybe": 1, "no": 2, "yes": 1}


def test_several_classes_may_hold_and_none_may() -> None:
    data = manifest(["rain|wind", "wind | rain|wind", "", "speech"])
    labels = ClassLabels.from_manifest(data, multi_label=True)
    assert labels.names == ("rain", "speech", "wind")
    assert [labels.numbers(utterance) for utterance in data] == [[0, 2], [2, 0], [], [1]]


def test_a_bar_is_a_letter_like_any_other_where_there_is_one_class() -> None:
    assert ClassLabels.from_manifest(manifest(["a|b", "c"])).names == ("a|b", "c")


def test_weights_are_inverse_counts_with_a_mean_of_one() -> None:
    data = manifest(["a"] * 6 + ["b"] * 2)
    assert ClassLabels.from_manifest(data).weights(data) == pytest.approx([0.5, 1.5])


@pytest.mark.parametrize("label", [None, ""])
def test_an_utterance_without_a_label_is_named(label: str | None) -> None:
    with pytest.raises(DataError, match=r"train\.jsonl:2: has no label; wanted the class of 2\.wav"):
        ClassLabels.from_manifest(manifest(["a", label, "b"]))


@pytest.mark.parametrize(("labels", "seen"), [(["a", "a"], "every utterance is labeled 'a'"), ([""], "no utterance")])
def test_one_class_is_nothing_to_learn(labels: list[str], seen: str) -> None:
    with pytest.raises(DataError, match=rf"train\.jsonl: {seen}.*wanted at least two classes"):
        ClassLabels.from_manifest(manifest(labels), multi_label=labels == [""])


def test_a_class_that_training_lacks_is_reported_with_both_sides() -> None:
    labels = ClassLabels.from_manifest(manifest(["yes", "no"]))
    labels.check(manifest(["no", "yes"], "dev.jsonl"))
    with pytest.raises(DataError, match=r"dev\.jsonl:2: label 'perhaps' is not one .* no, yes \(2 of 3 utterances"):
        labels.check(manifest(["no", "perhaps", "never"], "dev.jsonl"))
    with pytest.raises(DataError, match=r"dev\.jsonl:1: label 'perhaps' is not one of the trained classes"):
        labels.numbers(manifest(["perhaps"], "dev.jsonl")[0])


def test_many_known_classes_do_not_drown_the_message() -> None:
    labels = ClassLabels([f"class {number:03}" for number in range(500)])
    with pytest.raises(DataError, match=r"class 019, … 500 in all") as caught:
        labels.check(manifest(["other"]))
    assert len(str(caught.value)) < 500


def test_names_are_different() -> None:
    with pytest.raises(CheckpointError, match="distinct names"):
        ClassLabels(["a", "b", "a"])


def test_classes_of_a_checkpoint_are_known_without_spaces_around_them() -> None:
    labels = ClassLabels(["yes ", "cafe\u0301"])
    assert [labels.numbers(one) for one in manifest(["yes", "caf\u00e9", "yes "])] == [[0], [1], [0]]
    assert ClassLabels(["a ", "a"]).numbers(manifest(["a"])[0]) == [1]
