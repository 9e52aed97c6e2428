"""The public names: sorted, there, and cheap until they are used."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import speechxfer as sx
from speechxfer import errors


def test_names_are_sorted_and_there() -> None:
    assert sx.__all__ == sorted(sx.__all__)
    assert len(set(sx.__all__)) == len(sx.__all__)
    for name in sx.__all__:
        assert getattr(sx, name) is not None
    assert dir(sx) == sx.__all__
    with pytest.raises(AttributeError, match="has no attribute 'finetun'"):
        _ = sx.finetun  # type: ignore[attr-defined]


def test_all_errors_are_public() -> None:
    kinds = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)}
    assert kinds <= set(sx.__all__)


def test_functions_stay_functions_where_a_room_has_their_name() -> None:
    for room in ("speechxfer.export", "speechxfer.report.page"):
        importlib.import_module(room)

    assert callable(sx.report)
    assert callable(sx.export)
    assert sx.report.__module__ == sx.export.__module__ == "speechxfer.api.output"
    assert sys.modules["speechxfer.report"].write_report is not None  # type: ignore[attr-defined]


def test_public_functions_are_documented() -> None:
    for name in sx.__all__:
        value = getattr(sx, name)
        if inspect.isfunction(value) and value.__module__.startswith("speechxfer.api"):
            assert "Raises:" in str(value.__doc__), name
            assert "return" in value.__annotations__, name


def test_nothing_heavy_is_imported_until_it_is_used() -> None:
    code = (
        "import sys, speechxfer as sx\n"
        "sx.finetune, sx.evaluate, sx.Plan, sx.Manifest, sx.Dataset, sx.check, sx.split, sx.report\n"
        "print([name for name in ('torch', 'transformers', 'numpy', 'matplotlib', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
