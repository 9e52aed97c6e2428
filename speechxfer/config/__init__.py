"""Everything a run can be told: tables of settings, checked where they are given, from TOML and from `key=value`."""

from speechxfer.config.paths import hint, moved
from speechxfer.config.reading import (
    build,
    checked,
    flat,
    merge,
    parse_assignment,
    parse_setting,
    read_config,
    read_settings,
    read_toml,
    to_dict,
)
from speechxfer.config.tables import (
    TRACKERS,
    AugmentConfig,
    ClassesConfig,
    EncoderConfig,
    FinetuneConfig,
    PlanConfig,
    PoolingConfig,
    RetentionConfig,
    Seq2SeqConfig,
    TextConfig,
    TrainingConfig,
)

__all__ = [
    "TRACKERS",
    "AugmentConfig",
    "ClassesConfig",
    "EncoderConfig",
    "FinetuneConfig",
    "PlanConfig",
    "PoolingConfig",
    "RetentionConfig",
    "Seq2SeqConfig",
    "TextConfig",
    "TrainingConfig",
    "build",
    "checked",
    "flat",
    "hint",
    "merge",
    "moved",
    "parse_assignment",
    "parse_setting",
    "read_config",
    "read_settings",
    "read_toml",
    "to_dict",
]
