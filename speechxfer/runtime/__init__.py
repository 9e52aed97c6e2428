"""Exported models, run by ONNX Runtime; nothing here needs torch."""

from __future__ import annotations

from speechxfer.runtime.folder import is_exported as is_exported
