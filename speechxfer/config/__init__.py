"""The settings of a run: tables of settings, checked where they are given, from TOML and from `key=value`."""

from speechxfer.config.heads import HEADS, HeadType
from speechxfer.config.paths import exists, hint, located, moved
from speechxfer.config.reading import (
    build,
    checked,
    flat,
    merge,
    nested,
    parse_assignment,
    parse_setting,
    read_config,
    read_settings,
    read_toml,
    to_dict,
)
from speechxfer.config.renamed import renamed_option
from speechxfer.config.tables import (
    TRACKERS,
    AugmentConfig,
    FinetuneConfig,
    PlanConfig,
    PoolingConfig,
    RetentionConfig,
    TextConfig,
    TrainingConfig,
)

__all__ = [
    "HEADS",
    "TRACKERS",
    "AugmentConfig",
    "FinetuneConfig",
    "HeadType",
    "PlanConfig",
    "PoolingConfig",
    "RetentionConfig",
    "TextConfig",
    "TrainingConfig",
    "build",
    "checked",
    "exists",
    "flat",
    "hint",
    "located",
    "merge",
    "moved",
    "nested",
    "parse_assignment",
    "parse_setting",
    "read_config",
    "read_settings",
    "read_toml",
    "renamed_option",
    "to_dict",
]
