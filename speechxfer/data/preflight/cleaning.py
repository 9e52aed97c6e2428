"""What `--fix` writes: a cleaned manifest and a quarantine list beside the old one. Audio is never touched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from speechxfer.data import rows
from speechxfer.data.manifest import NAMES
from speechxfer.data.preflight import writing
from speechxfer.data.preflight.finding import KINDS, Finding
from speechxfer.errors import ConfigError


def outputs(manifest: Path) -> tuple[Path, Path]:
    """The cleaned manifest and the quarantine list of a manifest."""
    return (
        manifest.with_name(f"{manifest.stem}.clean{manifest.suffix}"),
        manifest.with_name(f"{manifest.stem}.quarantine.jsonl"),
    )


def check_outputs(manifests: Iterable[Path], *, overwrite: bool) -> None:
    """Before an hour of listening rather than after it.

    Raises:
        ConfigError: one of the files is there already.
    """
    for manifest in manifests:
        for output in outputs(manifest):
            if output.exists() and not overwrite:
                raise ConfigError(f"{output}: exists already; add --overwrite to replace it, or move it away")


def clean(manifest: Path, findings: Iterable[Finding]) -> tuple[int, int, int]:
    """Write what is left of a manifest, in its own format, and what was taken out, with the reasons.

    The quarantine list has the rows as they were, and the columns `quarantine_line` and `quarantine_reasons`.
    Where no line is left or none is taken out, that file is not written, and an older one is removed.

    Returns:
        How many lines were kept, mended among them, and taken out.

    Raises:
        DataError: the manifest cannot be read.
        StorageError: a file cannot be written.
    """
    reasons, mend = _by_line(manifest, findings)
    kept: list[dict[str, Any]] = []
    taken: list[dict[str, Any]] = []
    num_mended = 0
    for line, row in rows.read(manifest):
        if line in reasons:
            taken.append(row | {"quarantine_line": line, "quarantine_reasons": reasons[line]})
            continue
        if line in mend:
            num_mended += 1
        kept.append({name: _mended(name, value) for name, value in row.items()} if line in mend else row)
    for path, content in zip(outputs(manifest), (kept, taken), strict=True):
        if content:
            rows.write(path, content)
        else:
            path.unlink(missing_ok=True)
    return len(kept), num_mended, len(taken)


def _by_line(manifest: Path, findings: Iterable[Finding]) -> tuple[dict[int, list[str]], set[int]]:
    reasons: dict[int, list[str]] = defaultdict(list)
    mend: set[int] = set()
    for finding in findings:
        if finding.file == str(manifest):
            action = KINDS[finding.kind].action
            for line in finding.lines if action != "keep" else ():
                if action == "drop":
                    reasons[line].append(f"{finding.kind}: {finding.what}")
                else:
                    mend.add(line)
    return reasons, mend


def _mended(name: str, value: Any) -> Any:
    return writing.mended(value) if name in NAMES["text"] and isinstance(value, str) else value
