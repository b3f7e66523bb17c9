"""Ids of rows that are made by thousands: in the order of time (UUID version 7, RFC 9562), so that what is written
together lies together. Random ones touch a page of the index each.
"""

from __future__ import annotations

import itertools
import os
import struct
import time

_number = itertools.count(int.from_bytes(os.urandom(2), "big"))
_VERSION, _VARIANT = 0x7000, 0x8000
_pack = struct.Struct(">QH6s").pack
_rest = os.urandom(6)  # of this process; a child that was forked would share it, and none is


def new_id() -> bytes:
    """16 bytes: milliseconds, a count within them, and what tells this process from others."""
    count = next(_number)
    high, low = _VERSION | (count >> 12 & 0xFFF), _VARIANT | (count & 0xFFF)
    return _pack(int(time.time() * 1000) << 16 | high, low, _rest)
