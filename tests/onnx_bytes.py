"""ONNX files written by hand, field by field: small models of any shape, and files that are wrong on purpose."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

FLOAT, INT64 = 1, 7


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))


def field(number: int, content: bytes | int) -> bytes:
    """A field of a protobuf message: a number, or bytes."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def value(name: str, *dims: int | str, kind: int = FLOAT) -> bytes:
    """What goes in or comes out; a dimension that may vary is a word."""
    shape = b"".join(field(1, field(1, dim) if isinstance(dim, int) else field(2, dim.encode())) for dim in dims)
    return field(1, name.encode()) + field(2, field(1, field(1, kind) + field(2, shape)))


def tensor(name: str, dims: Sequence[int], numbers: Sequence[float]) -> bytes:
    raw = array("f", numbers).tobytes()
    return b"".join(field(1, dim) for dim in dims) + field(2, FLOAT) + field(8, name.encode()) + field(9, raw)


def node(kind: str, takes: Sequence[str], makes: str, **attributes: int | Sequence[int]) -> bytes:
    found = b"".join(field(1, name.encode()) for name in takes) + field(2, makes.encode()) + field(4, kind.encode())
    for name, given in attributes.items():
        if isinstance(given, int):
            attribute = field(3, given) + field(20, 2)
        else:
            attribute = b"".join(field(8, each) for each in given) + field(20, 7)
        found += field(5, field(1, name.encode()) + attribute)
    return found


def model(
    nodes: Sequence[bytes], inputs: Sequence[bytes], outputs: Sequence[bytes], weights: Sequence[bytes] = ()
) -> bytes:
    """A whole file, of operators as of opset 12."""
    graph = b"".join(field(1, each) for each in nodes) + field(2, b"graph") + b"".join(field(5, w) for w in weights)
    graph += b"".join(field(11, each) for each in inputs) + b"".join(field(12, each) for each in outputs)
    return whole(graph)


def whole(graph: bytes, *more: bytes) -> bytes:
    """A file around a graph."""
    return field(1, 7) + field(2, b"a test") + field(7, graph) + field(8, field(2, 12)) + b"".join(more)
