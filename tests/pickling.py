"""An engine without a cluster."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from typing import Any

from speechxfer.errors import ConfigError


class Pickling:
    """One worker, in this process, which gets everything by way of pickle and works from the last item to the first."""

    def __init__(self, *, is_there: bool = True) -> None:
        self._is_there = is_there
        self.sent: list[Any] = []

    def check(self) -> None:
        if not self._is_there:
            raise ConfigError("nobody answers")

    def map(self, task: Any, items: Iterable[Any]) -> Iterator[Any]:
        compute = pickle.loads(pickle.dumps(task)).open(0)
        for item in reversed(list(items)):
            self.sent.append(item)
            yield pickle.loads(pickle.dumps(compute([item])))
