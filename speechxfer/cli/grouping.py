"""Help in groups: the options that most people need first, the others under headings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click


class GroupedCommand(click.Command):
    """A command whose help lists its options under headings; what no heading names comes last.

    Args:
        groups: headings in order, each with the names of its parameters in order.
    """

    def __init__(self, *arguments: Any, groups: Mapping[str, Sequence[str]], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.groups = groups

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, one section for each heading."""
        named = {name for names in self.groups.values() for name in names}
        others = [str(one.name) for one in self._options(ctx) if one.name not in named]
        for heading, names in {**self.groups, "Other options": others}.items():
            if records := self._records(ctx, names):
                with formatter.section(heading):
                    formatter.write_dl(records)

    def _options(self, ctx: click.Context) -> list[click.Parameter]:
        """All parameters but the arguments, which the usage line has."""
        return [one for one in self.get_params(ctx) if not isinstance(one, click.Argument)]

    def _records(self, ctx: click.Context, names: Sequence[str]) -> list[tuple[str, str]]:
        """Names and meanings of parameters, in the order of `names`; two options may share a name."""
        known = [parameter for parameter in self._options(ctx) if parameter.name in names]
        known.sort(key=lambda parameter: names.index(str(parameter.name)))
        return [record for parameter in known if (record := parameter.get_help_record(ctx))]
