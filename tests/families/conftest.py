"""What tests of families share with those of encoders."""

from tests.encoders.conftest import saved

__all__ = ["saved"]
