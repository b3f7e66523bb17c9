"""The hosts that plan regret is measured on: real servers on this machine, each once near and some once more far away.

text    SmolLM2 behind llama.cpp's server          eye      the same with tiny-eye: takes pictures
ear     Whisper base, beam 1, behind OpenAI's wire  vectors  SmolLM2 as an embedder
far-…   the same servers behind a pass-through that holds every answer back, as a network would
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
from tests.e2e.servers import EYE, Record, ear_server, llama_server  # noqa: E402

FAR = 0.25  # seconds of a round trip


@contextmanager
def hosts() -> Iterator[str]:
    """All of them running; the text of ``intermodal.toml`` that names them."""
    with llama_server() as text, llama_server(eye=EYE) as eye, ear_server() as ear, llama_server(embeds=True) as embeds:
        ports = {
            name: int(server.base_url.split(":")[2].split("/")[0])
            for name, server in (("text", text), ("embeds", embeds))
        }
        far_text, far_ear, far_embeds = (Record(port, delay=FAR) for port in (ports["text"], ear, ports["embeds"]))
        far = text.row("far-text").replace(text.base_url, _url(far_text.port)).replace('"machine"', '"network"')
        yield "\n".join((
            text.row("text"), eye.row("eye"), far,
            _ear("ear", ear, "machine"), _ear("far-ear", far_ear.port, "network"),
            _vectors("vectors", ports["embeds"], "machine"), _vectors("far-vectors", far_embeds.port, "network"),
        ))  # fmt: skip
        for record in (far_text, far_ear, far_embeds):
            record.close()


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}/v1"


def _ear(name: str, port: int, zone: str) -> str:
    return _host(name, port, zone) + (
        'id = "desk/whisper-base-beam-1"\ntasks = ["automatic-speech-recognition"]\ninput = ["audio"]\ntier = "small"\n'
    )


def _vectors(name: str, port: int, zone: str) -> str:
    return _host(name, port, zone) + (
        'id = "desk/smollm2-vectors"\ntasks = ["feature-extraction"]\ncontext = 2048\ntier = "small"\n'
        'tokenizer = "smollm2"\n'
    )


def _host(name: str, port: int, zone: str) -> str:
    """The row of a host up to its one model."""
    return f'[hosts.{name}]\nbase_url = "{_url(port)}"\nzone = "{zone}"\n[[hosts.{name}.models]]\n'
