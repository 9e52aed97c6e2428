"""What `--fix` writes: a cleaned manifest and a quarantine list beside the original. Audio files never change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from speechxfer.data import columns, rows, textfiles
from speechxfer.data.checks import writing
from speechxfer.data.checks.finding import KINDS, Finding
from speechxfer.errors import ConfigError
from speechxfer.stores import is_url, spelled
from speechxfer.stores.listing import is_pattern


def outputs(manifest: Path) -> tuple[Path, Path]:
    """The cleaned manifest and the quarantine list of a manifest."""
    return (
        manifest.with_name(f"{manifest.stem}.clean{manifest.suffix}"),
        manifest.with_name(f"{manifest.stem}.quarantine.jsonl"),
    )


def check_outputs(manifests: Iterable[Path], *, overwrite: bool) -> None:
    """Check early that every manifest is one file of text, and that no output file exists.

    Raises:
        ConfigError: one is not, or one of the files exists.
    """
    for manifest in manifests:
        if is_pattern(manifest) or is_url(str(manifest)) or manifest.suffix.lower() not in rows.SUFFIXES:
            raise ConfigError(f"{spelled(manifest)}: is not one file of text here, of which --fix writes another; make it one by `speechxfer manifest convert`")  # fmt: skip  # noqa: E501
        for output in outputs(manifest):
            if output.exists() and not overwrite:
                raise ConfigError(f"{output}: exists already; add --overwrite to replace it, or move it away")


def clean(manifest: Path, findings: Iterable[Finding]) -> tuple[int, int, int]:
    """Write the cleaned manifest in its own format, and the quarantined lines with the reasons.

    The quarantine list has the original rows and the columns `quarantine_line` and `quarantine_reasons`; for a line
    that cannot be parsed it has `quarantine_text`. A file without lines is not written, and an older one is removed.

    Returns:
        Number of lines kept, repaired (of those kept), and quarantined.

    Raises:
        DataError: the manifest cannot be read.
        StorageError: a file cannot be written.
    """
    reasons, repair = _by_line(manifest, findings)
    kept: list[dict[str, Any]] = []
    quarantined: dict[int, dict[str, Any]] = {}
    num_repaired = 0
    for line, row in rows.read(manifest, columns.is_number, refused=lambda _error: None):
        if line in reasons:
            quarantined[line] = row
        else:
            num_repaired += line in repair
            kept.append(_repaired(row, f"{manifest}:{line}") if line in repair else row)
    if unread := reasons.keys() - quarantined.keys():  # lines that cannot be parsed are kept verbatim
        written = enumerate(textfiles.lines(manifest), start=1)
        quarantined |= {line: {"quarantine_text": text.rstrip("\r\n")} for line, text in written if line in unread}
    quarantine = [row | {"quarantine_line": line, "quarantine_reasons": reasons[line]} for line, row in sorted(quarantined.items())]  # fmt: skip  # noqa: E501
    for path, content in zip(outputs(manifest), (kept, quarantine), strict=True):
        if content:
            rows.write(path, content)
        else:
            path.unlink(missing_ok=True)
    return len(kept), num_repaired, len(quarantined)


def _by_line(manifest: Path, findings: Iterable[Finding]) -> tuple[dict[int, list[str]], set[int]]:
    """Reasons of quarantined lines, and the lines to repair."""
    reasons: dict[int, list[str]] = defaultdict(list)
    repair: set[int] = set()
    for finding in findings:
        if finding.file == str(manifest):
            action = KINDS[finding.kind].action
            for line in finding.lines if action != "keep" else ():
                if action == "drop":
                    reasons[line].append(f"{finding.kind}: {finding.what}")
                else:
                    repair.add(line)
    return reasons, repair


def _repaired(row: dict[str, Any], origin: str) -> dict[str, Any]:
    texts = {name for name, column in columns.meanings(row, origin).items() if column == "text"}
    return {
        name: writing.repaired(value) if name in texts and isinstance(value, str) else value
        for name, value in row.items()
    }
