"""What is computed by workers elsewhere, and who has them; `jobs.on_ray` is such an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")
Item_contra = TypeVar("Item_contra", contravariant=True)
Found_co = TypeVar("Found_co", covariant=True)


class Task(Protocol[Item_contra, Found_co]):
    """What is sent to each worker, and opened there."""

    def versions(self) -> dict[str, str]:
        """What has to be the same on each worker as it is here, by name."""

    def open(self, readers: int) -> Callable[[Sequence[Item_contra]], Found_co]:
        """Load what it takes.

        Args:
            readers: processes that may read for this worker; 0 where it reads for itself.

        Returns:
            What computes some items together.
        """

    def lost(self, item: Item_contra, reason: str) -> Found_co:
        """What an item gets over which workers were lost; or an error, which ends the work."""


class Engine(Protocol):
    """Workers elsewhere, each of which opens a task once and is then given its items."""

    def check(self) -> None:
        """Look for the workers as far as that takes no time, before other work is done.

        Raises:
            ConfigError: there are none.
        """

    def map(self, task: Task[Item, Found], items: Iterable[Item]) -> Iterator[Found]:
        """What a task makes of each item, in any order; items are asked for as workers are ready for them.

        Raises:
            ConfigError: there are no such workers, or they have other versions.
        """
