"""Which network interface leads to an address."""

from __future__ import annotations

import socket
import struct

#: Linux's request for the address of an interface.
_SIOCGIFADDR = 0x8915


def interface_towards(host: str) -> str | None:
    """The name of this host's interface from which packets to an address leave; None where that is not known.

    For IPv4 on Linux. A host has this interface also for its own address.
    """
    try:
        import fcntl  # not on Windows

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))  # sends nothing
            own = probe.getsockname()[0]
            for _, name in socket.if_nameindex():
                try:
                    found = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                except OSError:  # one without an address
                    continue
                if socket.inet_ntoa(found[20:24]) == own:
                    return name
    except (ImportError, OSError):
        return None
    return None
