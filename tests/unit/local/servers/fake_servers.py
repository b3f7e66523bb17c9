"""Fakes of servers that say what they hold: none of them computes. What they answer is what their makers publish.

Ollama   the example of docs.ollama.com/api/ps and /api/version
vLLM     a line of /metrics as vLLM 0.1x writes it (``vllm:cache_config_info``), and its list of models
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OLLAMA_ROW: dict[str, Any] = {
    "name": "gemma3", "model": "gemma3", "size": 6591830464,
    "digest": "a2af6cc3eb7fa8be8504abaf9b04e88f17a119ec3f04a3addf55f92841195f5a",
    "details": {"parent_model": "", "format": "gguf", "family": "gemma3", "families": ["gemma3"],
                "parameter_size": "4.3B", "quantization_level": "Q4_K_M"},
    "expires_at": "2025-10-17T16:47:07.93355-07:00", "size_vram": 5333539264, "context_length": 4096,
}  # fmt: skip
VLLM_METRICS = (
    "# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig\n"
    "# TYPE vllm:cache_config_info gauge\n"
    'vllm:cache_config_info{block_size="16",cache_dtype="auto",calculate_kv_scales="False",cpu_offload_gb="0",'
    'enable_prefix_caching="True",gpu_memory_utilization="0.82",is_attention_free="False",num_cpu_blocks="1024",'
    'num_gpu_blocks="573",num_gpu_blocks_override="None"} 1.0\n'
)


def ollama(*rows: Mapping[str, Any], parameters: str = "") -> dict[str, Any]:
    """Replies of an Ollama by path."""
    return {
        "/api/ps": {"models": list(rows)},
        "/api/show": {"parameters": parameters},
        "/api/version": {"version": "0.40.12"},
    }


def vllm(root: str, length: int = 8192, metrics: str = VLLM_METRICS) -> dict[str, Any]:
    """Replies of a vLLM by path."""
    row = {"id": "served", "object": "model", "owned_by": "vllm", "root": root, "max_model_len": length}
    return {"/metrics": metrics, "/v1/models": {"object": "list", "data": [row]}, "/version": {"version": "0.11.0"}}


@contextmanager
def serving(
    replies: Mapping[str, Any], key: str = "", *, unlocked: Collection[str] = (), keys: list[str] | None = None
) -> Iterator[str]:
    """The address of a server that answers with these; 404 for other paths, 401 without the ``key``, but for those
    ``unlocked``. ``keys``: gets those it was sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = replies.get(self.path)
            sent = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if sent and keys is not None:
                keys.append(sent)
            allowed = not key or sent == key or self.path in unlocked
            body = said.encode() if isinstance(said, str) else json.dumps(said or {}).encode()
            self.send_response(401 if not allowed else 404 if said is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
