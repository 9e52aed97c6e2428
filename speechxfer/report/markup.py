"""HTML put together so that no text can become markup: whatever is not `Html` is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TypeAlias

#: Elements that hold nothing and have no end.
_VOID = frozenset({"meta"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


#: What an element may hold: text, elements, or nothing.
Content: TypeAlias = "str | Html | None"


def element(tag: str, /, *content: Content, **attributes: str | float | None) -> Html:
    """`<tag attribute="value">content</tag>`.

    Of attributes' names an underscore at the end is dropped and those within become hyphens (`class_`,
    `stroke_width`); one that is None is left out, and one that is "" stands alone.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None)
    if tag in _VOID:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{join(content)}</{tag}>")


def join(content: Iterable[Content]) -> Html:
    """Pieces one after another."""
    return Html("".join(item if isinstance(item, Html) else escape(item) for item in content if item is not None))


def section(title: str, *content: Content) -> Html:
    """A part of the page under a heading; none where there is nothing to show."""
    if not any(content):
        return Html()
    return element("section", element("h2", title), *content)


def table(columns: Sequence[str], rows: Iterable[Sequence[Content]], *, numbers: Sequence[int] = ()) -> Html:
    """A table that scrolls by itself where it is too wide.

    Args:
        numbers: columns, from 0, that stand to the right.
    """
    classes = ["n" if place in numbers else None for place in range(len(columns))]
    head = [element("th", name, class_=kind, scope="col") for name, kind in zip(columns, classes, strict=True)]
    body = [
        element("tr", *(element("td", cell, class_=kind) for cell, kind in zip(row, classes, strict=True)))
        for row in rows
    ]
    whole = element("table", element("thead", element("tr", *head)), element("tbody", *body))
    return element("div", whole, class_="scroll", tabindex="0")


def rated(value: float, bounds: Sequence[float] | None) -> Html:
    """A figure with its interval, if it has one: "0.143 [0.121, 0.166]"."""
    ends = element("small", f"[{bounds[0]:.3f}, {bounds[1]:.3f}]", class_="ends") if bounds else None
    return join([f"{value:.3f}", " " if ends else None, ends])


def _attribute(key: str, value: str | float) -> str:
    name = key.removesuffix("_").replace("_", "-")
    return f" {name}" if value == "" else f' {name}="{escape(str(value))}"'
