"""A page for each design decision, from the list in ARCHITECTURE.md."""

from __future__ import annotations

import re

#: Where the pages are, inside docs/.
FOLDER = "explanation/decisions"
_INDEX = """# Design decisions

Why things are as they are, one page each, generated from
the section "Decisions" of `ARCHITECTURE.md`.
"""


def pages(architecture: str) -> dict[str, str]:
    """Markdown by path inside docs/."""
    decisions = dict(map(_split, _items(architecture)))
    index = [_INDEX, *(f"- [{title}]({_slug(title)}.md)" for title in decisions)]
    written = {f"{FOLDER}/{_slug(title)}.md": _page(title, text) for title, text in decisions.items()}
    return {f"{FOLDER}/index.md": "\n".join(index) + "\n", **written}


def _items(architecture: str) -> list[str]:
    """The items of the list under the heading "Decisions", each as one line."""
    section = architecture.partition("\n## Decisions\n")[2].partition("\n## ")[0]
    return [" ".join(item.split()) for item in re.split(r"^- ", section, flags=re.MULTILINE)[1:]]


def _split(item: str) -> tuple[str, str]:
    """Title and text of "**Title.** Text."; a title that is the beginning of a sentence is repeated in the text."""
    title, text = re.match(r"\*\*(.+?)\*\*(.*)", item, re.DOTALL).groups()  # type: ignore[union-attr]
    whole = title.endswith((".", ":"))
    return title.rstrip(".:"), text.strip() if whole else f"{title}{text}"


def _page(title: str, text: str) -> str:
    return f"# {title}\n\n{text}\n\n[All decisions](index.md)\n"


def _slug(title: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))
