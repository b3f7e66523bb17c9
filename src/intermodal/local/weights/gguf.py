"""Reads GGUF headers without trusting the file.

Layout (ggml's ``docs/gguf.md``, versions 2 and 3, little endian)::

    "GGUF" u32 version, u64 tensors, u64 pairs
    pairs:   string key, u32 type, value          string = u64 length + UTF-8; array = u32 type, u64 count, items
    tensors: string name, u32 dims, u64 each, u32 type, u64 offset into the data

Only the header is read. Every count and length is checked against a cap and the remaining bytes before anything is
allocated, so a hostile file causes a typed error, but no large allocation or long run time.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Final

from intermodal.core.content import Value
from intermodal.errors import WeightsError

MAX_HEADER: Final = 96 << 20  # the largest vocabularies in use (260k tokens with merges) take about 12 MB
_FIRST: Final = 8 << 20
MAX_PAIRS: Final = 4096
MAX_TENSORS: Final = 65_536
MAX_ITEMS: Final = 2_000_000
MAX_STRING: Final = 4 << 20
MAX_NAME: Final = 256
MAX_DIMS: Final = 4
MAX_LAYER_ITEMS: Final = 1024  # numeric arrays up to this length are always kept, because some have one value per layer

_SCALARS: Final[dict[int, str]] = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_INDEX: Final = {count: struct.Struct(f"<{count}QIQ") for count in range(1, MAX_DIMS + 1)}  # dims, type, offset
_STRING: Final = 8
_ARRAY: Final = 9

# Tensor types: id -> (name, elements in a block, bytes of a block). Sources: ggml's enum ggml_type and the
# static_asserts of ggml-common.h; the same table as GGML_QUANT_SIZES of the `gguf` package where it has the type.
# Q8_1 and Q8_K exist only during computation, never in a file. An id that is not here is refused.
BLOCKS: Final[dict[int, tuple[str, int, int]]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8),
    28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18), 42: ("Q2_0", 64, 18),
}  # fmt: skip


class HeaderCut(WeightsError):
    """The header continues beyond the given bytes."""


class GgufTensor(Value):
    """An entry of the tensor index. ``dims`` is innermost first; ``size`` is exact, in bytes."""

    name: str
    dims: tuple[int, ...]
    type: str
    size: int


class GgufHeader(Value):
    """A parsed GGUF header.

    Attributes:
        metadata: all scalar and string pairs, arrays of at most ``MAX_LAYER_ITEMS`` numbers, and all requested arrays.
        tensors: the tensor index, in file order.
        size: bytes of the header.
    """

    version: int
    metadata: dict[str, Any]
    tensors: tuple[GgufTensor, ...]
    size: int

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))

    @property
    def context_length(self) -> int | None:
        """Return the context length that the model was trained with; None if the file does not state it."""
        found = self.metadata.get(f"{self.architecture}.context_length")
        return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None

    @property
    def weight_bytes(self) -> int:
        """Return the bytes of all tensors: the sum of ``ne0 / block * type_size * ne1 * ne2 * ne3`` over the index."""
        return sum(tensor.size for tensor in self.tensors)

    @property
    def tokens(self) -> tuple[str, ...]:
        """Return the vocabulary in id order; () unless requested."""
        return _strings(self.metadata.get("tokenizer.ggml.tokens"))

    @property
    def merges(self) -> tuple[str, ...]:
        """Return the byte-pair merges, best first; () unless requested."""
        return _strings(self.metadata.get("tokenizer.ggml.merges"))


def read_header(path: Path, *, arrays: tuple[str, ...] = (), limit: int = MAX_HEADER) -> GgufHeader:
    """Read the header of a GGUF file. ``arrays`` names the array-valued pairs to keep (they can be large).

    Raises ``WeightsError`` if it is not a GGUF file, is damaged, exceeds a cap, or uses a tensor type of unknown block
    size.
    """
    try:
        with path.open("rb") as file:
            total = file.seek(0, 2)
            for size in (min(_FIRST, limit), limit):  # most headers are small, most files are not
                file.seek(0)
                data = file.read(size)
                try:
                    return parse_header(data, total=total, where=path.name, arrays=arrays)
                except HeaderCut:
                    if len(data) < size or size == limit:
                        raise
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=path.name) from None
    raise WeightsError("ends inside its header", where=path.name, todo="fetch the file again")


def parse_header(data: bytes, *, total: int, where: str = "GGUF", arrays: tuple[str, ...] = ()) -> GgufHeader:
    """Parse the header at the front of ``data``; ``total`` is the size of the whole file."""
    reader = _Reader(data, where, total)
    try:
        return _parse(reader, total, arrays)
    except (struct.error, OverflowError):
        raise reader.header_cut_error() from None


def _parse(reader: _Reader, total: int, arrays: tuple[str, ...]) -> GgufHeader:
    if reader.read_bytes(4) != b"GGUF":
        raise reader.broken_file_error("is not a GGUF file")
    version = reader.read_number("<I")
    if version not in (2, 3):
        raise reader.broken_file_error(f"has GGUF version {version}, known are 2 and 3")
    tensor_count = reader.count(MAX_TENSORS, "tensors", least=24)
    pair_count = reader.count(MAX_PAIRS, "metadata pairs", least=13)
    metadata: dict[str, Any] = {}
    for _ in range(pair_count):
        key = reader.read_text(MAX_NAME)
        if key in metadata:
            raise reader.broken_file_error("has the same metadata key twice")
        value = reader.value(reader.read_number("<I"), keep=key in arrays)
        if value is not None:
            metadata[key] = value
    tensors = tuple(_tensor(reader) for _ in range(tensor_count))
    if reader.at + sum(tensor.size for tensor in tensors) > total:
        raise reader.broken_file_error("is shorter than its own tensor index says")
    return GgufHeader(version=version, metadata=metadata, tensors=tensors, size=reader.at)


def _tensor(reader: _Reader) -> GgufTensor:
    name = reader.read_text(MAX_NAME)
    count = reader.read_number("<I")
    if not 1 <= count <= MAX_DIMS:
        raise reader.broken_file_error(f"has a tensor of {count} dimensions")
    *dims, kind, _ = reader.read_numbers(_INDEX[count])
    if kind not in BLOCKS:
        raise reader.broken_file_error(f"has a tensor of type {kind}, whose size is not known")
    type_name, block, size = BLOCKS[kind]
    if any(not 0 < dim < 1 << 40 for dim in dims) or dims[0] % block:
        raise reader.broken_file_error(f"has a {type_name} tensor of impossible shape")
    elements = 1
    for dim in dims:
        elements *= dim
    return GgufTensor(name=name, dims=tuple(dims), type=type_name, size=elements // block * size)


class _Reader:
    """A cursor over a byte buffer that cannot read beyond its end."""

    def __init__(self, data: bytes, where: str, total: int) -> None:
        self._data = data
        self._where = where
        self._end = min(total, MAX_HEADER)  # upper bound of the header size
        self.at = 0

    def broken_file_error(self, what: str) -> WeightsError:
        return WeightsError(what, where=self._where, todo="fetch the file again")

    def header_cut_error(self) -> HeaderCut:
        return HeaderCut("ends inside its header", where=self._where, todo="fetch the file again")

    def read_bytes(self, size: int) -> bytes:
        if size > len(self._data) - self.at:
            raise self.header_cut_error()
        piece = self._data[self.at : self.at + size]
        self.at += size
        return piece

    def read_number(self, form: str) -> Any:
        value = struct.unpack_from(form, self._data, self.at)[0]
        self.at += struct.calcsize(form)
        return value

    def read_numbers(self, form: struct.Struct) -> tuple[Any, ...]:
        values = form.unpack_from(self._data, self.at)
        self.at += form.size
        return values

    def count(self, most: int, what: str, *, least: int) -> int:
        """Read a u64 count of items that take at least ``least`` bytes each."""
        found: int = self.read_number("<Q")
        if found > most or found * least > self._end - self.at:
            raise self.broken_file_error(f"claims {found:,} {what}")
        if found * least > len(self._data) - self.at:
            raise self.header_cut_error()
        return found

    def read_text(self, most: int) -> str:
        length: int = self.read_number("<Q")
        if length > most:
            raise self.broken_file_error(f"has a text of {length:,} bytes in its header")
        try:
            return self.read_bytes(length).decode()
        except UnicodeDecodeError:
            raise self.broken_file_error("has a text that is not UTF-8 in its header") from None

    def value(self, kind: int, *, keep: bool) -> Any:
        """Read the value of a pair; None for a skipped array."""
        if kind == _STRING:
            return self.read_text(MAX_STRING)
        if kind == _ARRAY:
            return self._read_array(keep)
        if kind not in _SCALARS:
            raise self.broken_file_error(f"has a metadata value of type {kind}")
        return self.read_number(_SCALARS[kind])

    def _read_array(self, keep: bool) -> tuple[Any, ...] | None:
        kind = self.read_number("<I")
        if kind == _STRING:
            count = self.count(MAX_ITEMS, "array items", least=8)
            if keep:
                return tuple(self.read_text(MAX_STRING) for _ in range(count))
            self._skip_texts(count)
            return None
        if kind not in _SCALARS:
            raise self.broken_file_error("has an array of arrays in its header")
        size = struct.calcsize(_SCALARS[kind])
        count = self.count(MAX_ITEMS, "array items", least=size)
        raw = self.read_bytes(count * size)
        keep = keep or count <= MAX_LAYER_ITEMS
        return struct.unpack(f"<{count}{_SCALARS[kind][1]}", raw) if keep else None

    def _skip_texts(self, count: int) -> None:
        """Skip an array of strings.

        Reading a vocabulary spends half its time here, so bounds are checked once, after the loop.
        """
        unpack, data, at = struct.Struct("<Q").unpack_from, self._data, self.at
        for _ in range(count >> 3):  # unrolled by eight, because loop overhead was a quarter of the time
            at += 8 + unpack(data, at)[0]  # raises at the end of the buffer, which is reported as a cut header
            at += 8 + unpack(data, at)[0]
            at += 8 + unpack(data, at)[0]
            at += 8 + unpack(data, at)[0]
            at += 8 + unpack(data, at)[0]
            at += 8 + unpack(data, at)[0]
            at += 8 + unpack(data, at)[0]
            at += 8 + unpack(data, at)[0]
        for _ in range(count & 7):
            at += 8 + unpack(data, at)[0]
        if at > len(data):
            raise self.header_cut_error()
        self.at = at


def _strings(found: Any) -> tuple[str, ...]:
    return tuple(item for item in found if isinstance(item, str)) if isinstance(found, tuple) else ()
