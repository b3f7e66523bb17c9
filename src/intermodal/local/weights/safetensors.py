"""Reads the tensor index of safetensors files without trusting the file.

Layout: u64 header length, the header as JSON (name -> dtype, shape, data_offsets; ``__metadata__``), the data. Source:
the format specification, huggingface/safetensors.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any, Final

import msgspec

from intermodal.core.content import Value
from intermodal.errors import WeightsError

MAX_HEADER: Final = 100_000_000  # the limit of the format's reference library
MAX_TENSORS: Final = 500_000
MAX_INDEX: Final = 32 << 20
INDEX: Final = "model.safetensors.index.json"
# Bits per element.
BITS: Final[dict[str, int]] = {
    "F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16, "U16": 16,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I8": 8, "U8": 8, "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "C64": 64,
}  # fmt: skip


class SafeTensor(Value, gc=False):
    """A tensor. ``dims`` as in the file, outermost first; ``size`` in bytes."""

    name: str
    dims: tuple[int, ...]
    type: str
    size: int


def header_size(start: bytes, total: int, where: str) -> int:
    """Return the total bytes of the header, from the first eight bytes of the file."""
    if len(start) < 8:
        raise _broken_file_error(where, "ends inside its header")
    size = int.from_bytes(start[:8], "little") + 8
    if size > min(total, MAX_HEADER):
        raise _broken_file_error(where, f"claims a header of {size:,} bytes")
    return size


def parse_header(data: bytes, total: int, where: str) -> tuple[SafeTensor, ...]:
    """Parse the tensors of a file from ``data``, which contains the whole header; ``total``: bytes of the file.

    Raises ``WeightsError`` if it is not safetensors, or if tensors exceed the file, overlap, or leave gaps.
    """
    size = header_size(data, total, where)
    if len(data) < size:
        raise _broken_file_error(where, "ends inside its header")
    try:
        found = msgspec.json.decode(data[8:size], type=dict[str, dict[str, Any]])
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        raise _broken_file_error(where, "has a header that is not the JSON of safetensors") from None
    found.pop("__metadata__", None)
    if len(found) > MAX_TENSORS:
        raise _broken_file_error(where, f"claims {len(found):,} tensors")
    spans: list[tuple[int, int]] = []
    tensors: list[SafeTensor] = []
    for name, row in found.items():
        tensor, span = _tensor(name, row, where)
        tensors.append(tensor)
        spans.append(span)
    end = 0
    for first, last in sorted(spans):
        if first < end:
            raise _broken_file_error(where, "has tensors that overlap")
        end = last
    if size + end > total:
        raise _broken_file_error(where, "is shorter than its own header says")
    return tuple(tensors)


def read_header(path: Path) -> tuple[SafeTensor, ...]:
    """Read the tensors of a file."""
    try:
        with path.open("rb") as file:
            total = file.seek(0, 2)
            file.seek(0)
            start = file.read(8)
            data = start + file.read(header_size(start, total, path.name) - 8)
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=path.name) from None
    return parse_header(data, total, path.name)


def parse_index(data: bytes, where: str) -> tuple[int, tuple[str, ...]]:
    """Parse ``model.safetensors.index.json``.

    Returns the bytes of all tensors (0 if not stated), and the file names.
    """
    try:
        found = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        raise _broken_file_error(where, "is not an index of safetensors") from None
    files, metadata = found.get("weight_map"), found.get("metadata")
    names = sorted({name for name in files.values() if isinstance(name, str)}) if isinstance(files, dict) else []
    if not names or any("/" in name or "\\" in name or name.startswith(".") for name in names):
        raise _broken_file_error(where, "is not an index of safetensors")
    size = metadata.get("total_size") if isinstance(metadata, dict) else 0
    whole = isinstance(size, int | float) and not isinstance(size, bool) and 0 < size < 1 << 50
    return int(size) if whole and size is not None else 0, tuple(names)


def _tensor(name: str, row: dict[str, Any], where: str) -> tuple[SafeTensor, tuple[int, int]]:
    kind, dims, offsets = row.get("dtype"), _counts(row.get("shape")), _counts(row.get("data_offsets"))
    if not isinstance(kind, str) or kind not in BITS:
        raise _broken_file_error(where, f"has a tensor of type {str(kind)[:20]!r}, whose size is not known")
    if dims is None or offsets is None or len(offsets) != 2 or len(dims) > 16:
        raise _broken_file_error(where, "has a tensor of impossible shape")
    first, last = offsets
    if last < first or prod(dims) * BITS[kind] != (last - first) * 8:
        raise _broken_file_error(where, "has a tensor that does not fill its place")
    return SafeTensor(name=name, dims=tuple(dims), type=kind, size=last - first), (first, last)


def _counts(found: Any) -> list[int] | None:
    if not isinstance(found, list):
        return None
    counts = [one for one in found if isinstance(one, int) and not isinstance(one, bool) and 0 <= one < 1 << 48]
    return counts if len(counts) == len(found) else None


def _broken_file_error(where: str, what: str) -> WeightsError:
    return WeightsError(what, where=where, todo="fetch the file again")
