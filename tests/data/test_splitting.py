from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.splitting import split
from speechxfer.errors import ConfigError, DataError


def made(rows: list[dict[str, Any]]) -> Manifest:
    return Manifest(
        (
            Utterance(
                audio=row.get("audio", f"{n}.wav"),
                **{k: v for k, v in row.items() if k != "audio"},
            )
            for n, row in enumerate(rows)
        ),
        Path("all.jsonl"),
    )


def by_speakers(speakers: int, each: int, **columns: Any) -> Manifest:
    rows = [
        {"speaker": f"s{n % speakers}", "text": f"sentence {n}", "duration": 1.0 + n % 3} | columns
        for n in range(speakers * each)
    ]
    return made(rows)


def test_speakers_stay_whole_and_shares_are_kept() -> None:
    manifest = by_speakers(50, 8)
    parts = split(manifest, dev=0.1, test=0.2, seed=3)
    speakers = {name: {one.speaker for one in part} for name, part in parts.items()}
    assert sum(map(len, speakers.values())) == len(set().union(*speakers.values())) == 50
    assert sorted(one.audio for part in parts.values() for one in part) == sorted(one.audio for one in manifest)
    for name, share in {"train": 0.7, "dev": 0.1, "test": 0.2}.items():
        assert parts[name].duration_s / manifest.duration_s == pytest.approx(share, abs=0.02)
    order = [int(one.audio.removesuffix(".wav")) for one in parts["train"]]
    assert order == sorted(order)


def test_the_seed_decides() -> None:
    manifest = by_speakers(30, 4)
    first, again, other = (
        {name: [one.audio for one in part] for name, part in split(manifest, seed=seed).items()} for seed in (1, 1, 2)
    )
    assert first == again != other


def test_no_sentence_is_shared() -> None:
    rows = [{"speaker": f"s{n // 4}", "text": f"Sentence {n % 4 + 4 * (n // 8)}!"} for n in range(240)]  # pairs share
    parts = split(made(rows))
    texts = [{one.text for one in part} for part in parts.values()]
    assert sum(map(len, texts)) == len(set().union(*texts))
    assert {len(part) % 8 for part in parts.values()} == {0}


def test_one_giant_component_is_reported_and_can_be_allowed() -> None:
    rows = [{"speaker": f"s{n // 10}", "text": f"sentence {n % 10}"} for n in range(200)]
    with pytest.raises(DataError, match=r"the largest of 100%: speakers are connected.*--allow-shared-text"):
        split(made(rows))
    parts = split(made(rows), allow_shared_text=True)
    assert {name: len(part) for name, part in parts.items()} == {"train": 160, "dev": 20, "test": 20}


def test_labels_are_in_equal_shares_and_their_texts_no_tie() -> None:
    rows = [
        {"speaker": f"s{n % 60}", "label": "rare" if n % 10 == 0 else "common", "text": "yes"} for n in range(60 * 7)
    ]
    parts = split(made(rows), dev=0.2, test=0.2)
    for part in parts.values():
        counts = Counter(one.label for one in part)
        assert counts["rare"] / len(part) == pytest.approx(0.1, abs=0.04)


def test_parts_of_a_file_stay_together_where_no_speaker_is_known() -> None:
    rows = [{"audio": f"{n // 5}.wav", "start": float(n % 5), "text": f"t{n}"} for n in range(200)]
    parts = split(made(rows))
    files = [{one.audio for one in part} for part in parts.values()]
    assert sum(map(len, files)) == 40
    assert len(parts["dev"]) == 20


def test_another_column() -> None:
    manifest = made([{"text": f"t{n}", "extra": {"session": n // 10}} for n in range(200)])
    parts = split(manifest, by="session", test=0)
    assert list(parts) == ["train", "dev"]
    assert {one.extra["session"] for one in parts["dev"]}.isdisjoint(one.extra["session"] for one in parts["train"])
    with pytest.raises(ConfigError, match=r"--by place: no utterance has this column; wanted one of: session, speaker"):
        split(manifest, by="place")


def test_what_cannot_be_split() -> None:
    with pytest.raises(DataError, match="2 groups of utterances, the largest of 50%, are too few for a"):
        split(by_speakers(2, 10))
    with pytest.raises(DataError, match="too few"):
        split(by_speakers(1, 1))
    for shares in ({"dev": 0.0, "test": 0.0}, {"dev": 0.6, "test": 0.5}, {"dev": -0.1}, {"test": float("nan")}):
        with pytest.raises(ConfigError, match="leave some for train"):
            split(by_speakers(20, 2), **shares)


@pytest.mark.parametrize("name", ["client_id", "Speaker ID"])
def test_the_speaker_by_another_name(name: str) -> None:
    parts = split(by_speakers(20, 5), by=name)
    speakers = [{one.speaker for one in part} for part in parts.values()]
    assert sum(map(len, speakers)) == len(set().union(*speakers)) == 20
