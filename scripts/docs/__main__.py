"""Write the generated pages of the documentation into docs/; `make docs` does so before it builds the site.

python -m scripts.docs
"""

from __future__ import annotations

import shutil
from pathlib import Path

from scripts.docs import api, commands, decisions, models, settings

ROOT = Path(__file__).resolve().parents[2]


def pages() -> dict[str, str]:
    """Markdown by path inside docs/."""
    return {
        "reference/settings.md": settings.page(),
        "reference/commands.md": commands.page(),
        "reference/api.md": api.page(),
        "reference/models.md": models.page(),
        **decisions.pages((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")),
    }


def main() -> None:
    """Write them; what was generated before is replaced."""
    shutil.rmtree(ROOT / "docs" / decisions.FOLDER, ignore_errors=True)  # a decision that is gone leaves no page
    for name, text in pages().items():
        path = ROOT / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
