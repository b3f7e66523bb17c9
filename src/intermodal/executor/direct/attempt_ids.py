"""Ids of rows that are written by the thousand: UUID version 7 (RFC 9562), which sort by time of writing.

Random ids would touch a page of the index each.
"""

from __future__ import annotations

import itertools
import os
import struct

_number = itertools.count(int.from_bytes(os.urandom(2), "big"))
_VERSION, _VARIANT = 0x7000, 0x8000
_pack = struct.Struct(">QH6s").pack
_rest = os.urandom(6)  # of this process; a child that was forked would share it, and none is


def new_ids(now: float) -> tuple[bytes, bytes]:
    """Return two IDs of 16 bytes: milliseconds, a count within them, and a mark of this process. ``now``: seconds since
    the epoch.
    """
    moment, one, other = int(now * 1000) << 16, next(_number), next(_number)
    return (
        _pack(moment | _VERSION | (one >> 12 & 0xFFF), _VARIANT | (one & 0xFFF), _rest),
        _pack(moment | _VERSION | (other >> 12 & 0xFFF), _VARIANT | (other & 0xFFF), _rest),
    )
