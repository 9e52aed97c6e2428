"""Options for where recordings are computed: on this machine, or on a Ray cluster."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from speechxfer.jobs.on_ray import OnRay


class Cluster(NamedTuple):
    """A Ray cluster: its address, None for one that is started here, and how many workers do the work there."""

    address: str | None
    actors: int | None

    def engine(self, device: str = "auto", readers: int | None = None) -> OnRay:
        """The engine that computes there, on "cpu" or "cuda", or on GPUs where there are any ("auto").

        Raises:
            ConfigError: ray has another major version.
            MissingPackageError: it is not installed.
            UsageError: another device.
        """
        from speechxfer.jobs.on_ray import OnRay, check_installed

        check_installed()  # before the device, which is Ray's affair
        if device not in ("auto", "cpu", "cuda"):
            raise click.UsageError(f"--device {device}: Ray chooses which; pass cuda, cpu or auto.")
        return OnRay(*self, None if device == "auto" else device == "cuda", readers)


def engine_options(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --engine, --address and --actors; the command is given `cluster`, which is None for this machine.

    Args:
        what: is computed by workers, in the plural and for the help.
    """
    return functools.partial(_added, what)


def _added(what: str, command: Callable[..., Any]) -> Callable[..., Any]:
    @click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help=f"Where {what} are computed: on this machine, or by the workers of a Ray cluster.")  # fmt: skip  # noqa: E501
    @click.option("--address", metavar="HOST:PORT", help="The Ray cluster, or auto for that of this machine.  [default: one is started here]")  # fmt: skip  # noqa: E501
    @click.option("--actors", type=click.IntRange(1), help="Workers on the cluster, each with its model.  [default: one for each GPU that is used, or for each core]")  # fmt: skip  # noqa: E501
    @functools.wraps(command)
    def called(*, engine: str, address: str | None, actors: int | None, **others: Any) -> Any:
        if engine != "ray" and (address or actors):
            raise click.UsageError("--address and --actors are for --engine ray.")
        return command(cluster=Cluster(address, actors) if engine == "ray" else None, **others)

    return called
