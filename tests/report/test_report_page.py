"""`report.html`: what it shows, what it leaves out, and that nothing in it is more than text."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from collections.abc import Callable, Sequence
from html.parser import HTMLParser

import pytest

from speechxfer import audio
from speechxfer.config import to_dict
from speechxfer.data.manifest import Manifest
from speechxfer.errors import ConfigError, DataError
from speechxfer.report import clips as clips_module
from speechxfer.report import write_report
from speechxfer.runs import Environment, InterpolationCurve, RunFolder
from tests.report.conftest import AFTER, BEFORE, SAID, Folder

PREDICTIONS = "predictions/test.adapted.jsonl"
_VOID = {"meta"}


class Page(HTMLParser):
    """The text of a page and its elements, after a look at whether they nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(html)
        assert not self.open, f"left open: {self.open}"
        self.text = " ".join(" ".join(self.pieces).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.pieces.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def classes(self, name: str) -> int:
        return sum(name in (attributes.get("class") or "").split() for _, attributes in self.elements)


def page_of(folder: Folder) -> Page:
    path = write_report(folder.path)
    assert path == folder.path / "report.html"
    return Page(path.read_text(encoding="utf-8"))


def test_headline_results_and_verdict(finished: Folder) -> None:
    after, before = (finished.read("metrics.json")[name] for name in ("after", "before"))
    low, high = after["intervals"]["bounds"]["wer"]
    text = page_of(finished).text
    assert f"WER {after['wer']:.3f} [{low:.3f}, {high:.3f}]" in text
    assert f"{after['words']} words in 8 utterances of test.jsonl; normalizer basic/2; 95% interval" in text
    assert f"before adaptation test {before['wer']:.3f}" in text
    assert "After is better than before: WER" in text
    assert "Fewer errors in 8 utterances, more in 0, as many in 0. Paired bootstrap over 8 utterances." in text


def test_a_page_needs_nothing_from_elsewhere(finished: Folder) -> None:
    page = page_of(finished)
    html = (finished.path / "report.html").read_text()
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.elements}
    assert not re.search(r"https?://|@import|url\(", html)
    assert all((one["src"] or "").startswith("data:") for one in page.all("audio"))
    assert "default-src &#x27;none&#x27;" in html


@pytest.mark.parametrize("written", ["MP3", "FLAC"])
def test_sound_of_the_worst_utterances(finished: Folder, monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setattr(clips_module, "_FORMAT", written)
    page = page_of(finished)
    wrong = sum(said != written for said, written in zip(SAID, AFTER, strict=True))
    assert len(page.all("audio")) == wrong
    data = base64.b64decode((page.all("audio")[0]["src"] or "").partition(",")[2])
    decoded = audio.load(io.BytesIO(data).getvalue())
    assert 0.45 * 16_000 < len(decoded) < 0.75 * 16_000  # MP3 pads at both ends
    assert 0.2 < abs(decoded).max() < 0.4


def test_clips_stop_where_the_page_is_heavy_enough(finished: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    one = len(page_of(finished).all("audio")[0]["src"] or "")
    monkeypatch.setattr(clips_module, "_BUDGET", 2 * one)
    assert len(page_of(finished).all("audio")) == 2


def test_long_sound_is_cut_and_says_so(finished: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips_module, "_LONGEST_S", 0.25)
    assert "the first 0.25 s" in page_of(finished).text


def test_differences_are_aligned(finished: Folder) -> None:
    page = page_of(finished)
    # "b c" -> "b a c", "c a b" -> "c b", "a c c" -> "a c b", and one of each kind in the legend.
    assert (page.classes("s"), page.classes("d"), page.classes("i")) == (2, 2, 2)
    assert "1 error in 3 words · tone.wav · 0.5 s · ann" in page.text
    assert f"before adaptation: {BEFORE[1]}" in page.text


def test_confusions_are_counted(finished: Folder) -> None:
    text = page_of(finished).text
    assert "times said written 1 c b" in text
    assert "times left out 1 a" in text
    assert "times put in 1 a" in text


def test_slices_of_whatever_the_manifest_says(finished: Folder) -> None:
    text = page_of(finished).text
    for column, first in (("speaker", "ann"), ("gender", "f"), ("age", "30 to < 40"), ("snr", "")):
        assert f"{column} utterances words WER {first}" in text or column == "snr"
    assert "language utterances" not in text, "it is the same everywhere"
    assert "duration utterances" not in text, "so is the length"


def test_markup_in_texts_stays_text(finished: Folder) -> None:
    evil = '<script>alert("x")</script> & </pre><img src=x onerror=alert(1)>'
    config = finished.config(text={"normalizer": "none"})
    test = finished.manifest("test", [{"text": f"{evil} {number}", "speaker": evil} for number in range(8)])
    finished.predicted("before", test, [evil] * 8)
    finished.predicted("after", test, [f"{evil} {evil}"] * 8)
    finished.sources()
    RunFolder(finished.path).write(Environment({"python": evil}, evil))
    (finished.path / "config.toml").write_text((finished.path / "config.toml").read_text() + f"\n# {evil}\n")
    page = page_of(finished)
    assert not page.all("script")
    assert not page.all("img")
    assert page.text.count("<script>alert") > 3
    assert to_dict(config)["text"]["normalizer"] in page.text


def test_plan_environment_data_and_how_to_reproduce(finished: Folder) -> None:
    text = page_of(finished).text
    assert "70 of 170 parameters are trained." in text
    assert "part state rate from epoch parameters layer 1 frozen 100 ctc head trained 0.003 1 70" in text
    assert "torch 2.11.0" in text
    assert "test 8 0:00:04 19 2" in text
    assert f"speechxfer finetune --config {finished.path}/config.toml --output {finished.path}-again" in text
    assert "It was started as speechxfer finetune --epochs 2 made with" in text
    assert 'model = "org/tiny"' in text


def test_curves_are_drawn(finished: Folder) -> None:
    page = page_of(finished)
    drawings = [one for one in page.all("svg") if one.get("role") == "img"]
    assert [str(one["aria-label"]).split(":")[0] for one in drawings] == ["Loss", "Error"]
    assert "dev from 2 to 1, lowest 1 at epoch 2" in str(drawings[0]["aria-label"])
    assert "WER, dev from 0.9 to 0.2, lowest 0.2 at epoch 2" in str(drawings[1]["aria-label"])


def test_scratch_retention_and_interpolation_are_shown(finished: Folder) -> None:
    finished.epochs(2, dev_wer=[0.9, 0.2], dev_cer=[0.5, 0.1], retain_wer=[0.3, 0.4])
    finished.update(
        "metrics.json",
        scratch={"dev": {"wer": 0.95, "cer": 0.6}, "after": {"wer": 0.97, "cer": 0.7}, "verdict": "Transfer helped."},
        retained={"before": {"wer": 0.31, "cer": 0.2}, "after": {"wer": 0.41, "cer": 0.3}, "verdict": "Forgotten."},
        notes=["after is better than before.", "Forgotten.", "Transfer helped."],
    )
    sides = [{"alpha": 0.0, "dev": {"wer": 1.0}, "retain": {"wer": 0.31}}, {"alpha": 1.0, "dev": {"wer": 0.2}, "retain": {"wer": 0.41}}]  # fmt: skip  # noqa: E501
    RunFolder(finished.path).write(InterpolationCurve(sides))
    page = page_of(finished)
    assert "trained from scratch test 0.970 0.700" in page.text
    assert "trained from scratch dev 0.950 0.600" in page.text
    assert "adapted retain 0.410 0.300" in page.text
    assert "After is better than before. Forgotten. Transfer helped. Fewer errors in" in page.text
    labels = [str(one["aria-label"]) for one in page.all("svg") if one.get("role") == "img"]
    assert "WER, retain from 0.3 to 0.4" in labels[1]
    assert "WER, dev from 1 to 0.2, lowest 0.2 at fraction of the new weights 1" in labels[2]


def test_without_a_test_split_dev_speaks_with_a_warning(finished: Folder) -> None:
    finished.config(test=None)
    shutil.rmtree(finished.path / "predictions")
    figures = ("before", "after", "comparison")
    metrics = {name: value for name, value in finished.read("metrics.json").items() if name not in figures}
    finished.write("metrics.json", metrics)
    page = page_of(finished)
    assert "WER 0.200" in page.text
    assert "which also chose the epoch and so flatters" in page.text
    assert "Worst utterances" not in page.text


def test_an_interrupted_run_says_how_far_it_came(empty: Folder) -> None:
    assert "This run has not ended: 0 of 20 epochs are done" in page_of(empty).text
    empty.epochs(3, dev_wer=[0.9, float("nan"), 0.5], dev_cer=[0.5, 0.4, 0.3])
    page = page_of(empty)
    assert "This run has not ended: 3 of 20 epochs are done" in page.text
    assert "Learning curves" in page.text


def test_without_predictions_the_figures_are_shown(finished: Folder) -> None:
    shutil.rmtree(finished.path / "predictions")
    page = page_of(finished)
    assert "There is no predictions/test.adapted.jsonl, so utterances cannot be shown one by one." in page.text
    assert f"WER {finished.read('metrics.json')['after']['wer']:.3f}" in page.text
    assert "Fewer errors in 8 utterances" in page.text
    assert not page.all("audio")


def test_the_folder_is_enough(finished: Folder) -> None:
    """Without manifests and recordings the same page is written, except for the sound."""
    whole = page_of(finished)
    shutil.rmtree(finished.corpus)
    page = page_of(finished)
    assert not page.all("audio")
    assert page.text.count("the recording is not there") == len(whole.all("audio")) > 0
    assert "What is not shown" not in page.text
    for part in ("1 error in 3 words · tone.wav · 0.5 s · ann", "test 8 0:00:04 19 2", "speaker utterances words WER ann", "times said written 1 c b"):  # fmt: skip  # noqa: E501
        assert part in page.text
    assert "Not by snr: " in page.text


def test_recordings_that_were_moved_are_found_beside_the_manifest(finished: Folder) -> None:
    moved = finished.corpus.rename(finished.corpus.with_name("elsewhere"))
    write_report(finished.path, {"test": str(moved / "test.jsonl")})
    assert "the recording is not there" not in (finished.path / "report.html").read_text()


def test_a_run_of_an_earlier_version_is_named(finished: Folder) -> None:
    (finished.path / "after.json").touch()
    with pytest.raises(ConfigError, match=r"earlier version of speechxfer \(after\.json\).* has to start again"):
        write_report(finished.path)


def test_classes_with_a_confusion_matrix(classified: Callable[[Sequence[str], Sequence[str]], Folder]) -> None:
    labels = ["go", "stop", "left<b>"] * 4
    page = page_of(classified(labels, [*labels[:-1], "go"]))
    assert "accuracy 0.917 [" in page.text
    assert "left<b> 1.000 0.750 0.857 4" in page.text
    assert "times true predicted 1 left<b> go" in page.text
    assert (page.classes("right"), page.classes("wrong")) == (3, 1)
    assert "Wrong utterances" in page.text
    assert len(page.all("audio")) == 1


def test_classes_before_and_after(classified: Callable[[Sequence[str], Sequence[str]], Folder]) -> None:
    labels = ["go", "stop"] * 10
    folder = classified(labels, ["go", *labels[1:-1], "go"])
    folder.predicted("before", Manifest.read(folder.corpus / "test.jsonl"), ["stop"] * 20)
    page = page_of(folder)
    assert "before adaptation test 0.500" in page.text
    assert "After is better than before: error 0.500 -> 0.050" in page.text
    assert "before adaptation: stop" in page.text


def test_several_classes_at_once(classified: Callable[[Sequence[str], Sequence[str]], Folder]) -> None:
    folder = classified(["go", "stop"] * 3, ["go", "stop"] * 3)
    folder.config(classification={"multi_label": True})
    test = Manifest.read(folder.corpus / "test.jsonl")
    folder.predicted("after", test, ["go|stop", "stop", "", "stop", "go", "stop"], multi_label=True)
    page = page_of(folder)
    assert page.classes("matrix") == 0
    assert len(page.all("article")) == 2


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        (PREDICTIONS, "{", r"test\.adapted\.jsonl:1: .* remove the file"),
        (PREDICTIONS, '{"audio": "a"}', r"test\.adapted\.jsonl:1: is damaged, or no prediction .*version"),
        (PREDICTIONS, '{"version": 2}', r"test\.adapted\.jsonl:1: .*version 2; this version of speechxfer reads 1"),
        ("plan.json", "[]", r"plan\.json: holds a list; wanted an object, or remove the file"),
        ("metrics.jsonl", '{"epoch": 1}\n{"loss": 2}', r"metrics\.jsonl:2: has no epoch"),
    ],
)
def test_a_damaged_file_is_named(finished: Folder, file: str, text: str, says: str) -> None:
    (finished.path / file).write_text(text)
    with pytest.raises(DataError, match=says):
        write_report(finished.path)


def test_rewriting_changes_nothing(finished: Folder) -> None:
    first = write_report(finished.path).read_bytes()
    assert write_report(finished.path).read_bytes() == first
    assert json.loads((finished.path / "metrics.json").read_text())
    assert Manifest.read(finished.corpus / "test.jsonl")
