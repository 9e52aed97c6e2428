"""What tests of families share with those of encoders and of runs."""

from tests.encoders.conftest import saved
from tests.training.conftest import runs

__all__ = ["runs", "saved"]
