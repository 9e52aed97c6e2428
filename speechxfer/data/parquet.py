"""Rows of Parquet files: manifests, and data sets whose recordings are in a column, as Hugging Face has them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from speechxfer.data import columns
from speechxfer.errors import DataError
from speechxfer.stores import spelled, stored
from speechxfer.stores.parquet import Table, table


def read(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row with its number, counted from 1; null and NaN become None.

    A column of recordings (bytes, or a structure with `bytes`) is not read for this: a row names its cell. Numbers of
    classes become names where the file has them.

    Raises:
        DataError: the file cannot be read, or has several columns of recordings.
    """
    name = spelled(path)
    try:
        found = table(stored(path))
        recordings = _recordings(found)
        if len(recordings) > 1:
            raise DataError(f"{name}: {' and '.join(recordings)} hold recordings; wanted one such column")
        wanted, classes = [one for one in found.schema.names if one not in recordings], _classes(found)
        # Of no columns at all there would be no rows.
        rows = found.rows(wanted) if wanted else iter([{}] * found.num_rows)
        for number, row in enumerate(rows):
            values = {column: _value(value, classes.get(column)) for column, value in row.items()}
            if recordings:
                # Other columns that may name audio are names that it had elsewhere.
                others = {one for one in values if columns.known_as(one) == "audio"}
                values = {column: value for column, value in values.items() if column not in others}
                values["audio"] = f"{path.name}/{recordings[0]}/{number}"
            yield number + 1, values
    except OSError as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise DataError(f"{name}: {why}; wanted a Parquet file") from error


def count(path: Path) -> int:
    """How many rows it has; 0 where it cannot be read."""
    try:
        return table(stored(path)).num_rows
    except OSError:
        return 0


def _recordings(found: Table) -> list[str]:
    """The columns whose cells are encoded files; bytes are something else where another column names the audio."""
    with_names, plain = found.bytes_columns()
    is_named = any(columns.known_as(name) == "audio" for name in found.schema.names if name not in plain)
    return with_names or ([] if is_named else plain)


def _classes(found: Table) -> dict[str, list[str]]:
    """Names of classes by column, as `datasets` writes them into a file."""
    try:
        about = json.loads((found.schema.metadata or {}).get(b"huggingface", b"{}"))
        features: Mapping[str, Any] = about.get("info", {}).get("features", {})
        kinds = {column: kind for column, kind in features.items() if isinstance(kind, dict)}
    except (ValueError, AttributeError):
        return {}
    return {column: kind["names"] for column, kind in kinds.items() if kind.get("_type") == "ClassLabel"}


def _value(value: Any, names: list[str] | None) -> Any:
    if names is not None and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else None
    return None if isinstance(value, float) and math.isnan(value) else value
