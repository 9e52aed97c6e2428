"""The page as a browser has it: on a phone and on a desk, by day and by night."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from speechxfer.report import write_report
from tests.report.chromium import NAMES, Chromium, program
from tests.report.conftest import Folder

pytestmark = pytest.mark.skipif(program() is None, reason=f"no Chromium: none of {', '.join(NAMES)} is on the path")

#: The least contrast of a text with what is behind it, as WCAG 2.1 counts, of all texts on the page; and which it is.
CONTRAST = """(() => {
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(numbers(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, [r, g, b, a = 1]) =>
      below.map((c, i) => c * (1 - a) + [r, g, b][i] * a), [255, 255, 255]);
  };
  let least = [21, ""];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility()) continue;
    const style = getComputedStyle(element), inSvg = element instanceof SVGElement;
    const [one, other] = [numbers(inSvg ? style.fill : style.color), behind(element)].map(light);
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < least[0]) least = [ratio, text];
  }
  return least;
})()"""

#: What reaches beyond the right edge of the window without a box of its own that scrolls.
BEYOND = """[...document.querySelectorAll("main *")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll"))
  .map((one) => one.outerHTML.slice(0, 80))"""

DURATIONS = """Promise.all([...document.querySelectorAll("audio")].map((one) => new Promise((done) => {
  one.addEventListener("loadedmetadata", () => done(one.duration));
  one.addEventListener("error", () => done(-1));
  one.preload = "metadata"; one.load();
})))"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def pages(finished: Folder, classified: Callable[[Sequence[str], Sequence[str]], Folder]) -> list[Path]:
    """A run of transcripts with long words and texts, and one of twelve classes with long names."""
    test = finished.manifest("test", [{"text": "donaudampfschifffahrtsgesellschaft" * 3 + " a" * 40}] * 12)
    finished.predicted("before", test, ["x " * 30] * 12)
    finished.predicted("after", test, ["a b " * 30] * 12)
    labels = [f"a rather long name {number}" for number in range(12)] * 3
    return [write_report(finished.path), write_report(classified(labels, labels[1:] + labels[:1]).path)]


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_nothing_reaches_beyond_the_window(browser: Chromium, pages: list[Path], width: int) -> None:
    for page in pages:
        browser.look(page, width=width)
        assert browser.ask(BEYOND) == []
        assert browser.ask("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_slices_and_plan_are_seen_whole(browser: Chromium, finished: Folder, width: int) -> None:
    finished.epochs(2, dev_wer=[0.9, 0.2])
    browser.look(write_report(finished.path), width=width)
    hidden = "[...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth)"
    assert browser.ask("document.querySelectorAll('.slices .scroll').length") >= 3
    assert browser.ask(f"{hidden}.map(one => one.innerText)") == []


@pytest.mark.parametrize("dark", [False, True])
def test_texts_can_be_read_by_day_and_by_night(browser: Chromium, pages: list[Path], dark: bool) -> None:
    for page in pages:
        browser.look(page, width=390, dark=dark)
        ground = browser.ask("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") is not dark
        ratio, text = browser.ask(CONTRAST)
        assert ratio >= 4.5, f"{text!r} has a contrast of {ratio:.2f}"


def test_sound_plays_and_nothing_is_fetched(browser: Chromium, pages: list[Path]) -> None:
    browser.requests.clear()
    browser.look(pages[0], width=390)
    durations = browser.ask(DURATIONS)
    assert len(durations) == 12
    assert all(0.45 < duration < 0.75 for duration in durations)
    assert not [one for one in browser.requests if not one.startswith(("file:", "data:"))]
    assert browser.complaints == []


def test_drawings_have_a_size_and_letters_are_no_dust(browser: Chromium, pages: list[Path]) -> None:
    for width in (320, 1200):
        browser.look(pages[0], width=width)
        sizes = browser.ask(
            "[...document.querySelectorAll('.chart > svg')].map(svg => [svg.getBoundingClientRect().width, "
            "svg.querySelector('text').getBoundingClientRect().height])"
        )
        assert len(sizes) == 2
        assert all(wide > 250 and high > 9 for wide, high in sizes)
