"""Reads headers of ONNX files (inputs, outputs, operators) without trusting or running the file.

Layout: one protobuf message, ModelProto, with the graph in field 7. Field numbers are those of ``onnx/onnx.proto`` in
the format's repository, onnx/onnx. A file that is truncated, longer than it states, or not ONNX is rejected before a
runtime maps it.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from intermodal.core.content import Value
from intermodal.errors import WeightsError

MAX_FILE: Final = (2 << 30) - 1  # protobuf's limit of a message
MAX_FIELDS: Final = 2_000_000  # fields of all messages together; the largest models have about ten thousand
MAX_DEPTH: Final = 16  # nested graphs, as in loops and branches
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Fields of ModelProto, GraphProto, NodeProto, TensorProto and ValueInfoProto, in that order.
_IR_VERSION, _GRAPH, _OPSET, _TRAINING, _FUNCTION = 1, 7, 8, 20, 25
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _SPARSE_INITIALIZER = 1, 5, 11, 12, 15
_OP_TYPE, _ATTRIBUTE, _DOMAIN = 4, 5, 7
_TENSOR_NAME, _EXTERNAL_DATA, _DATA_LOCATION = 8, 13, 14
_NAME, _TYPE = 1, 2
# Fields of AttributeProto, FunctionProto, SparseTensorProto and TrainingInfoProto with nested messages.
_TENSORS, _GRAPHS, _SPARSE_TENSORS = (5, 10), (6, 11), (22, 23)
_FUNCTION_NODE, _FUNCTION_ATTRIBUTE = 7, 11
_SPARSE_PARTS = (1, 2)
_TRAINING_GRAPHS = (1, 2)


class OnnxHeader(Value):
    """A parsed ONNX header.

    Attributes:
        inputs, outputs: names with their shapes; a variable dimension is 0.
        operators: operator types in use. size: bytes of the file.
    """

    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    operators: frozenset[str]
    size: int


def read_header(path: Path) -> OnnxHeader:
    """Read the header of a file. Raises ``WeightsError`` if it is not usable."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if not size:
                raise _broken_file_error(path.name, "is empty")
            if size > MAX_FILE:
                raise _broken_file_error(path.name, f"has {size:,} bytes, more than ONNX can be")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return parse(data, path.name)
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=path.name) from None


def parse(data: mmap.mmap | bytes, where: str) -> OnnxHeader:
    """Parse the header from the bytes of a file. Raises ``WeightsError``."""
    return _File(data, where).header()


class _File:
    """A file being parsed: its bytes, and the remaining field budget."""

    def __init__(self, data: mmap.mmap | bytes, where: str) -> None:
        self._data = data
        self._where = where
        self._left = MAX_FIELDS

    def header(self) -> OnnxHeader:
        graph: tuple[int, int] | None = None
        version = opset = False
        for number, wire, first, last in self._fields(0, len(self._data)):
            if number == _IR_VERSION and wire == _VARINT:
                version = True
            elif wire != _BYTES:
                continue
            elif number == _OPSET:
                opset = True
            elif number == _GRAPH:
                if graph is not None:
                    raise _broken_file_error(self._where, "has two graphs")
                graph = (first, last)
            elif number == _FUNCTION:
                self._function(first, last)
            elif number == _TRAINING:
                for inner, kind, start, end in self._fields(first, last):
                    if inner in _TRAINING_GRAPHS and kind == _BYTES:
                        self._graph(start, end, 1)
        if graph is None or not version or not opset:
            raise _broken_file_error(self._where, "is not an ONNX model")
        found = self._graph(*graph, 0)
        if not found.operators or not found.outputs:
            raise _broken_file_error(self._where, "has a graph without nodes or without outputs")
        return found

    def _graph(self, first: int, last: int, depth: int) -> OnnxHeader:
        if depth > MAX_DEPTH:
            raise _broken_file_error(self._where, f"nests more than {MAX_DEPTH} graphs")
        inputs: dict[str, tuple[int, ...]] = {}
        outputs: dict[str, tuple[int, ...]] = {}
        operators: set[str] = set()
        initializer_names: set[str] = set()
        for number, wire, start, end in self._fields(first, last):
            if wire != _BYTES:
                continue
            if number == _NODE:
                operators.add(self._operator(start, end, depth))
            elif number == _INITIALIZER:
                initializer_names.add(self._tensor(start, end))
            elif number == _SPARSE_INITIALIZER:
                self._sparse(start, end)
            elif number == _INPUT:
                name, shape = self._value(start, end)
                inputs[name] = shape
            elif number == _OUTPUT:
                name, shape = self._value(start, end)
                outputs[name] = shape
        input_shapes = {
            name: shape for name, shape in inputs.items() if name not in initializer_names
        }  # of old files weights are, too
        return OnnxHeader(inputs=input_shapes, outputs=outputs, operators=frozenset(operators), size=len(self._data))

    def _function(self, first: int, last: int) -> None:
        for number, wire, start, end in self._fields(first, last):
            if number == _FUNCTION_NODE and wire == _BYTES:
                self._operator(start, end, 0)
            elif number == _FUNCTION_ATTRIBUTE and wire == _BYTES:
                self._attribute(start, end, 0)

    def _operator(self, first: int, last: int, depth: int) -> str:
        kind, domain = "", ""
        for number, wire, start, end in self._fields(first, last):
            if wire != _BYTES:
                continue
            if number == _OP_TYPE:
                kind = self._read_text(start, end)
            elif number == _DOMAIN:
                domain = self._read_text(start, end)
            elif number == _ATTRIBUTE:
                self._attribute(start, end, depth)
        return f"{domain}.{kind}" if domain else kind

    def _attribute(self, first: int, last: int, depth: int) -> None:
        for number, wire, start, end in self._fields(first, last):
            if wire != _BYTES:
                continue
            if number in _TENSORS:
                self._tensor(start, end)
            elif number in _SPARSE_TENSORS:
                self._sparse(start, end)
            elif number in _GRAPHS:
                self._graph(start, end, depth + 1)

    def _sparse(self, first: int, last: int) -> None:
        for number, wire, start, end in self._fields(first, last):
            if number in _SPARSE_PARTS and wire == _BYTES:
                self._tensor(start, end)

    def _tensor(self, first: int, last: int) -> str:
        """Return a tensor's name. Raises if it is stored in another file, which a runtime would open unchecked."""
        name = ""
        for number, wire, start, end in self._fields(first, last):
            if number == _TENSOR_NAME and wire == _BYTES:
                name = self._read_text(start, end)
            elif number == _EXTERNAL_DATA or (
                number == _DATA_LOCATION and wire == _VARINT and start & 0xFFFFFFFF  # how protobuf encodes it
            ):
                raise _broken_file_error(self._where, "stores its weights in another file, which is not supported")
        return name

    def _value(self, first: int, last: int) -> tuple[str, tuple[int, ...]]:
        name = ""
        shape: tuple[int, ...] = ()
        for number, wire, start, end in self._fields(first, last):
            if number == _NAME and wire == _BYTES:
                name = self._read_text(start, end)
            elif number == _TYPE and wire == _BYTES:
                shape = self._shape(start, end)
        return name, shape

    def _shape(self, first: int, last: int) -> tuple[int, ...]:
        """Return the dimensions of a TypeProto: tensor_type (1), its shape (2), each dim (1), its value (1)."""
        found: list[int] = []
        for place, wire, start, end in self._fields(first, last):
            if place != 1 or wire != _BYTES:
                continue
            for number, kind, begin, close in self._fields(start, end):
                if number != 2 or kind != _BYTES:
                    continue
                for _, inner, one, other in self._fields(begin, close):
                    if inner == _BYTES:
                        values = [
                            at for field, wire_type, at, _ in self._fields(one, other) if (field, wire_type) == (1, 0)
                        ]
                        found.append(values[0] if values else 0)
        return tuple(found)

    def _fields(self, first: int, last: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield the fields of a message: number, wire type, start and end of its bytes.

        For a varint, its value is in place of the start.
        """
        at = first
        while at < last:
            if self._left <= 0:
                raise _broken_file_error(self._where, f"has more than {MAX_FIELDS:,} fields")
            self._left -= 1
            key, at = _read_varint(self._data, at, last, self._where)
            number, wire = key >> 3, key & 7
            if wire == _VARINT:
                value, at = _read_varint(self._data, at, last, self._where)
                yield number, wire, value, at
                continue
            if wire == _BYTES:
                size, at = _read_varint(self._data, at, last, self._where)
            elif wire in (_FIXED64, _FIXED32):
                size = 8 if wire == _FIXED64 else 4
            else:
                raise _broken_file_error(self._where, "is not an ONNX model")
            if not number or at + size > last:
                raise _broken_file_error(self._where, "is cut, or is not an ONNX model")
            yield number, wire, at, at + size
            at += size

    def _read_text(self, first: int, last: int) -> str:
        if last - first > 4_096:
            raise _broken_file_error(self._where, "has a name of more than 4,096 bytes")
        return self._data[first:last].decode("utf-8", "replace")


def _read_varint(data: mmap.mmap | bytes, at: int, last: int, where: str) -> tuple[int, int]:
    value = shift = 0
    while at < last and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _broken_file_error(where, "is cut, or is not an ONNX model")


def _broken_file_error(where: str, what: str) -> WeightsError:
    return WeightsError(what, where=where, todo="fetch it again, from a place you trust")
