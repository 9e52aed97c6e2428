"""The settings of a run from what a call gives: a file, tables, presets and single settings, the last on top."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from speechxfer.config import (
    FinetuneConfig,
    PlanConfig,
    build,
    located,
    merge,
    moved,
    nested,
    read_settings,
    to_dict,
)
from speechxfer.config.values import Table, shown
from speechxfer.data.dataset import Dataset, is_in_memory
from speechxfer.errors import ConfigError
from speechxfer.progress import Progress
from speechxfer.transfer.presets import PRESETS

#: Settings that other settings are laid over: a TOML file, a dictionary, or those of another run.
Settings: TypeAlias = "str | os.PathLike[str] | Mapping[str, Any] | FinetuneConfig"
#: What is frozen and trained: a preset, a TOML file with a table [plan], or settings.
PlanLike: TypeAlias = "str | os.PathLike[str] | PlanConfig | Mapping[str, Any]"

#: As `plan`: let one be made first.
AUTOMATIC = "auto"
#: Settings that name data.
_DATA = ("train", "dev", "test", "retain", "unlabeled", "retention.replay")


@dataclass(frozen=True)
class Request:
    """What a call asks for, in three layers, and the data that it gives in memory."""

    base: Mapping[str, Any] = field(default_factory=dict)
    #: A preset, or what a planner found.
    plan: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    #: Settings of the group `plan` in `base` that a preset or a planner takes the place of.
    replaced: tuple[str, ...] = ()
    #: By setting.
    data: Mapping[str, Dataset] = field(default_factory=dict)

    @classmethod
    def of(cls, base: Settings | None, plan: PlanLike | None, given: Mapping[str, Any]) -> Request:
        """Check what is given, each where it is given.

        Args:
            base: settings that the others are laid over.
            plan: a preset, file or table takes the place of the group `plan` of `base`, a dictionary changes it.
            given: by name; a dictionary changes single settings of a group, a table takes its place. Names may also be
                dotted ("training.epochs"), and None stands for what is not given.

        Raises:
            ConfigError: an unknown setting, or a value that it may not have.
            DataError: data in memory that cannot be used.
        """
        given, data = _without_data(given)
        tables = {name: to_dict(value) for name, value in given.items() if isinstance(value, Table)}
        layer = nested({**{name: value for name, value in given.items() if value is not None}, **tables})
        chosen = plan_settings(plan)
        replaced = {*tables, *([] if plan is None or isinstance(plan, Mapping) else ["plan"])}
        below = _values(base)
        dropped = tuple(below.get("plan", ())) if "plan" in replaced and "plan" not in tables else ()
        return cls({name: value for name, value in below.items() if name not in replaced}, chosen, layer, dropped, data)

    @property
    def values(self) -> dict[str, Any]:
        """All settings, but for the places of data in memory."""
        return merge([self.base, self.plan, self.given])

    @property
    def config(self) -> FinetuneConfig:
        """The settings of the run.

        Raises:
            ConfigError: one is missing, unknown or wrong.
        """
        from speechxfer.runs import RunFolder  # late: it brings NumPy

        values = merge([self.values, {"output": self.values.get("output") or _output(self.values)}])
        data = RunFolder(located(os.fspath(values["output"]))).data
        return build(FinetuneConfig, merge([values, nested({name: str(data / f"{name}.jsonl") for name in self.data})]))

    def resumed(self, base: Settings | None, progress: Progress) -> Request:
        """A run that is resumed by its own settings goes on in the folder that they lie in, which may have moved.

        Raises:
            ConfigError: there is a run where the settings say it is, too.
        """
        if not isinstance(base, str | os.PathLike) or "output" in self.given:
            return self
        from speechxfer.runs import RunFolder

        file, config = Path(located(os.fspath(base))), self.config
        here, named = RunFolder(file.parent), RunFolder(config.output)
        if file != here.config_file or not here.is_run or here.path.resolve() == named.path.resolve():
            return self
        if named.is_run:
            raise ConfigError(f"{file}: names {named} as its run, but lies in {here}, and there is a run in both; say which by --output")  # fmt: skip  # noqa: E501
        progress.log(f"resuming the run in {here}, which was in {named} when it began")
        return replace(self, base={}, plan={}, given=to_dict(moved(config, here.path)))


def plan_settings(plan: PlanLike | None) -> Mapping[str, Any]:
    """The settings that a plan stands for.

    Raises:
        ConfigError: it is neither a preset, a file with a plan, nor settings.
    """
    if plan is None or plan == AUTOMATIC:
        return {}
    if isinstance(plan, PlanConfig | Mapping):
        return {"plan": to_dict(plan) if isinstance(plan, PlanConfig) else dict(plan)}
    if not isinstance(plan, str | os.PathLike):
        raise ConfigError(f"plan is {shown(plan)}; wanted a preset ({', '.join(PRESETS)}), a Plan, or a dictionary")
    name = os.fspath(plan)
    if name in PRESETS:
        return {"plan": {"preset": name}}
    if not name.endswith(".toml"):
        raise ConfigError(f"--plan {name!r}: wanted one of {', '.join(PRESETS)}, or a .toml file with a table [plan]")
    values = read_settings(Path(located(name)))
    if not isinstance(values.get("plan"), dict):
        raise ConfigError(f"{name}: has no table [plan]")
    return values


def _values(base: Settings | None) -> dict[str, Any]:
    if base is None:
        return {}
    if isinstance(base, FinetuneConfig):
        return to_dict(base)
    if isinstance(base, Mapping):
        return nested(base)
    if isinstance(base, str | os.PathLike):
        return read_settings(Path(os.path.expanduser(base)))  # noqa: PTH111  # Path's own raises for an unknown user
    raise ConfigError(f"config is {shown(base)}; wanted the path of a TOML file, a FinetuneConfig, or a dictionary")


def _without_data(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Dataset]]:
    """What is given without the data in memory, and that."""
    rest, data = dict(given), {}
    if isinstance(retention := rest.get("retention"), Mapping) and "replay" in retention:
        rest["retention.replay"] = retention["replay"]
        rest["retention"] = {name: value for name, value in retention.items() if name != "replay"}
    for name in _DATA:
        if rest.get(name) is not None and is_in_memory(rest[name]):
            data[name] = Dataset.of(rest.pop(name), name).located()
    return rest, data


def _output(values: Mapping[str, Any]) -> str:
    """Where a run goes that has no `output`: named for its model and head."""
    return os.path.join("runs", f"{Path(str(values.get('model', 'run'))).name}-{values.get('head', 'ctc')}")  # noqa: PTH118
