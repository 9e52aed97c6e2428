"""Interfaces towards addresses."""

from __future__ import annotations

import socket

import pytest

from speechxfer.training.interfaces import interface_towards


@pytest.mark.skipif("lo" not in [name for _, name in socket.if_nameindex()], reason="no Linux")
def test_this_host_is_reached_by_loopback() -> None:
    assert interface_towards("127.0.0.1") == "lo"


def test_an_address_that_is_none_has_no_interface() -> None:
    assert interface_towards("nowhere.invalid") is None
