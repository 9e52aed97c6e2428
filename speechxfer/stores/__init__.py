"""The bytes behind an address, wherever they are: on this disk, behind a URL, in a tar shard, in a cell of a table.

An address is a path or a URL. What follows a `.tar` or a `.parquet` in it is inside of that file: `calls.tar/a.wav` is
a member, `calls.parquet/audio/17` the column `audio` of row 17, counted from 0. So addresses join, compare and are
written as paths are. `stored` opens any of them; nothing else in this package knows where bytes are.
"""

from speechxfer.stores.address import inside_of, is_remote, is_url, joined, spelled
from speechxfer.stores.opening import stored
from speechxfer.stores.stored import Stored

__all__ = ["Stored", "inside_of", "is_remote", "is_url", "joined", "spelled", "stored"]
