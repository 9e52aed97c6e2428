"""A device is one that something can be computed on here, or refused in a line."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.device import choose_device
from speechxfer.errors import ConfigError


@pytest.mark.parametrize("name", ["gpu", "", "CUDA", "meta", "cuda:", "cuda:-1", "cuda:01", "cuda:1e3", "cpu:1", "0", "auto ", "vulkan"])  # fmt: skip  # noqa: E501
def test_what_is_no_device_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is not known; wanted auto, cpu, cuda or cuda:N"):
        choose_device(name)


@given(st.text(max_size=12))
def test_any_text_is_a_device_or_refused_in_a_line(name: str) -> None:
    try:
        said = str(choose_device(name))
    except ConfigError as error:
        said = str(error)
    assert said in (name, "cpu") or repr(name) in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("name", ["mps", "mps:0", "xpu", "xpu:1", "cuda:999"])
def test_a_device_that_this_machine_lacks_is_refused(name: str) -> None:
    if name.startswith("mps") and torch.backends.mps.is_available():
        pytest.skip("there is one here")
    if name.startswith("xpu") and torch.xpu.is_available():
        pytest.skip("there is one here")
    with pytest.raises(ConfigError, match=f"device '{name}': torch cannot use it here .*--device cpu") as caught:
        choose_device(name)
    assert "\n" not in str(caught.value)


def test_the_processor_is_always_there() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda")
