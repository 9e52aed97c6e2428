"""The page of the public Python API: one directive of mkdocstrings for each public name."""

from __future__ import annotations

from collections.abc import Callable

import speechxfer

_INTRODUCTION = """# Python API

What `import speechxfer as sx` offers, generated from the docstrings. Everything else may change without notice.
"""
#: Heading -> which names stand under it; the first that fits counts.
_SECTIONS: dict[str, Callable[[str], bool]] = {
    "Functions": str.islower,
    "Errors": lambda name: name.endswith("Error"),
    "Classes": lambda _: True,
}


def page() -> str:
    """The page in Markdown."""
    parts = [_INTRODUCTION]
    for heading in ("Functions", "Classes", "Errors"):
        names = [name for name in speechxfer.__all__ if _section(name) == heading]
        if names:
            parts += [f"## {heading}\n", *(f"::: speechxfer.{name}\n" for name in names)]
    return "\n".join(parts)


def _section(name: str) -> str:
    return next(heading for heading, fits in _SECTIONS.items() if fits(name))
