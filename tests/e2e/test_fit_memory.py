"""What a real llama.cpp logs when it loads SmolLM2, against what its header says beforehand."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.servers import weights_of

from intermodal.sizing.memory import model_memory
from intermodal.sizing.model_sources import local_model
from intermodal.sizing.shape import ServingSettings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

LOADED = """
import json, os, sys, xllamacpp
given = json.loads(sys.argv[1])
parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.hostnames, parameters.port = given.pop("model"), ["127.0.0.1"], 0
parameters.verbosity, parameters.cache_ram_mib, parameters.fit_params, parameters.warmup = 4, 0, False, False
parameters.no_extra_bufts = True
for name in ("cache_type_k", "cache_type_v"):
    setattr(parameters, name, getattr(xllamacpp.ggml_type, f"GGML_TYPE_{given.pop(name)}"))
for name, value in given.items():
    setattr(parameters, name, value)
server = xllamacpp.Server(parameters)
sys.stderr.flush()
os._exit(0)
"""
LINES = {
    "weights": r"model buffer size = +([\d.]+)", "cache": r"KV buffer size = +([\d.]+)",
    "compute": r"CPU compute buffer size = +([\d.]+)", "output": r"output buffer size = +([\d.]+)",
}  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [
        ServingSettings(context=2048),
        ServingSettings(context=4096, slots=4, unified=True, ubatch=256, type_k="q8_0", type_v="q8_0"),
    ],
)
def test_a_real_server_takes_what_the_header_says(settings: ServingSettings) -> None:
    file = weights_of("smollm2-135m-instruct")
    given = {
        "model": str(file), "n_ctx": settings.context, "n_parallel": settings.slots, "n_ubatch": settings.ubatch,
        "kv_unified": settings.unified, "cache_type_k": settings.type_k.upper(),
        "cache_type_v": settings.type_v.upper(),
    }  # fmt: skip
    ran = subprocess.run(
        [sys.executable, "-c", LOADED, json.dumps(given)], capture_output=True, text=True, timeout=180, check=True
    )
    found = model_memory(local_model(Path(file)).shape, settings)
    for term, line in LINES.items():
        logged = [float(size) for size in re.findall(line, ran.stderr)]
        assert len(logged) == 1, ran.stderr[-2000:]
        assert found.bytes_of(term).mid / 2**20 == pytest.approx(logged[0], abs=0.006), term
