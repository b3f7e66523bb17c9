"""Opens a model folder in the hub's layout: its JSON configs, its tokenizer, its ONNX files.

Files are checked before a runtime maps them (``local/weights/onnx.py``), so that a damaged one gives one clear error.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from intermodal.errors import WeightsError
from intermodal.local.embedded.child_support import import_library, thread_count
from intermodal.local.weights.onnx import read_header

MAX_TOKENIZER: Final = 64 << 20
_KINDS: Final = {"tensor(float16)": "float16", "tensor(float)": "float32", "tensor(int32)": "int32"}


def open_session(path: Path) -> Any:
    """Open a model file for inference. Raises ``WeightsError`` if it is broken."""
    read_header(path)  # checked before a runtime maps it
    onnxruntime = import_library("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = thread_count()
    options.log_severity_level = 3
    # Waiting threads sleep: spinning would take 50 % more processor time from concurrent decoders.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def cast_to_input(value: Any, model_input: Any) -> Any:
    """Cast an array to the type of a model's input."""
    return value.astype(_KINDS.get(model_input.type, str(value.dtype)), copy=False)


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a folder. Raises ``WeightsError`` if it is missing or broken."""
    path = folder / "tokenizer.json"
    if not path.is_file() or path.stat().st_size > MAX_TOKENIZER:
        raise WeightsError("has no tokenizer.json that can be read", where=folder.name, todo="put it there")
    tokenizer_class = import_library("tokenizers").Tokenizer
    try:
        return tokenizer_class.from_file(str(path))
    except Exception:  # the library raises bare Exception
        raise WeightsError("is not a tokenizer", where=path.name, todo="fetch it again") from None


def read_json(path: Path, most: int) -> dict[str, Any]:
    """Read a JSON object of at most ``most`` bytes. Raises ``WeightsError``."""
    try:
        if path.stat().st_size > most:
            raise WeightsError(f"has more than {most:,} bytes", where=path.name)
        found = json.loads(path.read_bytes())
    except OSError:
        raise WeightsError(f"has no {path.name}", where=path.parent.name, todo="put it there") from None
    except (ValueError, RecursionError):
        raise WeightsError("is not JSON", where=path.name, todo="fetch it again") from None
    if not isinstance(found, dict):
        raise WeightsError("is not a table", where=path.name, todo="fetch it again")
    return found
