"""Headers of ONNX files: what goes in and comes out, read without trusting a word of it and without running anything.

Layout: one protobuf message, ModelProto, with the graph in field 7. Numbers of fields are those of ``onnx/onnx.proto``
of the format's own repository, onnx/onnx. A file that is cut, longer than it says, or no ONNX at all is refused here,
before a runtime maps it.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from intermodal.content import Value
from intermodal.errors import WeightsError

MAX_FILE: Final = (2 << 30) - 1  # protobuf's own limit of a message
MAX_NODES: Final = 200_000
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Fields of ModelProto, GraphProto, NodeProto, TensorProto and ValueInfoProto, in that order.
_IR_VERSION, _GRAPH, _OPSET = 1, 7, 8
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12
_OP_TYPE, _DOMAIN = 4, 7
_TENSOR_NAME, _DATA_LOCATION = 8, 14
_NAME, _TYPE = 1, 2
_EXTERNAL = 1


class OnnxHeader(Value):
    """What a file says of itself.

    Attributes:
        inputs, outputs: names with their shapes; a dimension that may vary is 0.
        operators: kinds of nodes. size: bytes of the file.
    """

    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    operators: frozenset[str]
    size: int


def read_header(path: Path) -> OnnxHeader:
    """The header of a file on this machine. Raises ``WeightsError`` where it cannot be one that is run here."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if not size:
                raise _wrong(path.name, "is empty")
            if size > MAX_FILE:
                raise _wrong(path.name, f"has {size:,} bytes, more than ONNX can be")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return parse(data, path.name)
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=path.name) from None


def parse(data: mmap.mmap | bytes, where: str) -> OnnxHeader:
    """The header of a file whose bytes are ``data``. Raises ``WeightsError``."""
    graph: tuple[int, int] | None = None
    version = opset = False
    for number, wire, first, last in _fields(data, 0, len(data), where):
        if number == _IR_VERSION and wire == _VARINT:
            version = True
        elif number == _OPSET and wire == _BYTES:
            opset = True
        elif number == _GRAPH and wire == _BYTES:
            if graph is not None:
                raise _wrong(where, "has two graphs")
            graph = (first, last)
    if graph is None or not version or not opset:
        raise _wrong(where, "is not an ONNX model")
    return _graph(data, graph, where)


def _graph(data: mmap.mmap | bytes, span: tuple[int, int], where: str) -> OnnxHeader:
    inputs: dict[str, tuple[int, ...]] = {}
    outputs: dict[str, tuple[int, ...]] = {}
    operators: set[str] = set()
    held: set[str] = set()
    nodes = 0
    for number, wire, first, last in _fields(data, *span, where):
        if wire != _BYTES:
            continue
        if number == _NODE:
            nodes += 1
            if nodes > MAX_NODES:
                raise _wrong(where, f"has more than {MAX_NODES:,} nodes")
            operators.add(_operator(data, first, last, where))
        elif number == _INITIALIZER:
            held.add(_tensor(data, first, last, where))
        elif number == _INPUT:
            name, shape = _value(data, first, last, where)
            inputs[name] = shape
        elif number == _OUTPUT:
            name, shape = _value(data, first, last, where)
            outputs[name] = shape
    if not nodes or not outputs:
        raise _wrong(where, "has a graph without nodes or without outputs")
    found = {name: shape for name, shape in inputs.items() if name not in held}  # of old files weights are inputs, too
    return OnnxHeader(inputs=found, outputs=outputs, operators=frozenset(operators), size=len(data))


def _operator(data: mmap.mmap | bytes, first: int, last: int, where: str) -> str:
    kind, domain = "", ""
    for number, wire, start, end in _fields(data, first, last, where):
        if wire == _BYTES and number == _OP_TYPE:
            kind = _text(data, start, end, where)
        elif wire == _BYTES and number == _DOMAIN:
            domain = _text(data, start, end, where)
    return f"{domain}.{kind}" if domain else kind


def _tensor(data: mmap.mmap | bytes, first: int, last: int, where: str) -> str:
    name = ""
    for number, wire, start, end in _fields(data, first, last, where):
        if number == _TENSOR_NAME and wire == _BYTES:
            name = _text(data, start, end, where)
        elif number == _DATA_LOCATION and wire == _VARINT and start == _EXTERNAL:
            raise _wrong(where, "keeps its weights in another file, which is not opened here")
    return name


def _value(data: mmap.mmap | bytes, first: int, last: int, where: str) -> tuple[str, tuple[int, ...]]:
    name = ""
    shape: tuple[int, ...] = ()
    for number, wire, start, end in _fields(data, first, last, where):
        if number == _NAME and wire == _BYTES:
            name = _text(data, start, end, where)
        elif number == _TYPE and wire == _BYTES:
            shape = _shape(data, start, end, where)
    return name, shape


def _shape(data: mmap.mmap | bytes, first: int, last: int, where: str) -> tuple[int, ...]:
    """Dimensions of a TypeProto: tensor_type (1), its shape (2), each dim (1), its value (1)."""
    found: list[int] = []
    for place, wire, start, end in _fields(data, first, last, where):
        if place != 1 or wire != _BYTES:
            continue
        for number, kind, begin, close in _fields(data, start, end, where):
            if number != 2 or kind != _BYTES:
                continue
            for _, inner, one, other in _fields(data, begin, close, where):
                if inner == _BYTES:
                    values = [at for field, how, at, _ in _fields(data, one, other, where) if (field, how) == (1, 0)]
                    found.append(values[0] if values else 0)
    return tuple(found)


def _fields(data: mmap.mmap | bytes, first: int, last: int, where: str) -> Iterator[tuple[int, int, int, int]]:
    """Fields of a message that lies between two places: number, kind, and where its bytes begin and end; of a number,
    its value in place of the beginning."""
    at = first
    while at < last:
        key, at = _number(data, at, last, where)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _number(data, at, last, where)
            yield number, wire, value, at
            continue
        if wire == _BYTES:
            size, at = _number(data, at, last, where)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise _wrong(where, "is not an ONNX model")
        if not number or at + size > last:
            raise _wrong(where, "is cut, or is not an ONNX model")
        yield number, wire, at, at + size
        at += size


def _number(data: mmap.mmap | bytes, at: int, last: int, where: str) -> tuple[int, int]:
    value = shift = 0
    while at < last and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _wrong(where, "is cut, or is not an ONNX model")


def _text(data: mmap.mmap | bytes, first: int, last: int, where: str) -> str:
    if last - first > 4_096:
        raise _wrong(where, "has a name of more than 4,096 bytes")
    return data[first:last].decode("utf-8", "replace")


def _wrong(where: str, what: str) -> WeightsError:
    return WeightsError(what, where=where, todo="fetch it again, from a place you trust")
