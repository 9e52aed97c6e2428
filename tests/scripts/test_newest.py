"""What differs from the lock."""

from scripts.newest import changes, pins

LOCK = """# Written by scripts/lock.sh.
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:00
ruamel-yaml==1.0 \\
    --hash=sha256:00
"""


def test_only_what_differs_is_listed():
    installed = pins("numpy==2.5.0\nruamel_yaml==1.0\nnew==3\n-e git+x#egg=speechxfer\n")
    assert changes(pins(LOCK), installed) == ["new (not locked) -> 3", "numpy 2.4.6 -> 2.5.0"]
