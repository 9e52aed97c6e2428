"""The page: what it may load, and what a keyboard and a screen reader need."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib import resources

import pytest

from tests.server.conftest import Scripted

FILES = {
    file.name: file.read_text(encoding="utf-8")
    for file in resources.files("speechxfer.server").joinpath("page").iterdir()
}
PAGE = FILES["index.html"]


class Elements(HTMLParser):
    """All elements with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(PAGE)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


ELEMENTS = Elements().found
IDS = [attributes["id"] for _, attributes in ELEMENTS if "id" in attributes]


@pytest.mark.parametrize("name", FILES)
def test_nothing_comes_from_elsewhere(name: str) -> None:
    assert not re.search(r"https?://|//[a-z]+\.", FILES[name])


def test_the_policy_allows_only_this_server(serve, scripted: Scripted) -> None:
    client = serve(scripted, token="secret")
    for path in ("/", *(f"/page/{name}" for name in FILES)):
        response = client.get(path)
        assert response.status_code == 200
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert response.headers["x-content-type-options"] == "nosniff"
    for path in ("/page/none.js", "/page/..%2fapp.py", "/page/app.py"):
        assert client.get(path).status_code in (401, 404)


def test_no_script_or_style_stands_in_the_page() -> None:
    for tag, attributes in ELEMENTS:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        assert tag != "style"
        assert tag != "script" or attributes["src"]


def test_each_field_has_a_label() -> None:
    labeled = {attributes.get("for") for tag, attributes in ELEMENTS if tag == "label"} | {"model"}  # inside its label
    fields = [attributes["id"] for tag, attributes in ELEMENTS if tag in ("input", "select")]
    assert set(fields) <= labeled


def test_what_changes_is_announced() -> None:
    by_id = {attributes["id"]: attributes for _, attributes in ELEMENTS if "id" in attributes}
    assert by_id["status"]["role"] == "status"
    assert by_id["problem"]["role"] == "alert"
    assert by_id["transcript"]["aria-live"] == "polite"
    assert by_id["speak"]["aria-pressed"] == "false"
    assert len(IDS) == len(set(IDS))


def test_scripts_name_elements_that_exist() -> None:
    named = set(re.findall(r'\bby\("([\w-]+)"\)', FILES["page.js"]))
    assert named
    assert named <= set(IDS)
    assert {attributes["aria-labelledby"] for _, attributes in ELEMENTS if "aria-labelledby" in attributes} <= set(IDS)
