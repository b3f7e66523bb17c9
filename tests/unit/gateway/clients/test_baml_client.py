"""BAML's own client, unmodified, with the gateway as its `openai-generic` host: images, sound and documents go in."""

from __future__ import annotations

import asyncio
import base64
import types
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.gateway_server import GatewayServer, config

from intermodal.testing import FakeHost

baml_py = pytest.importorskip("baml_py")

HEARING = (
    'id = "cloud/all"; input = ["text", "image", "audio"]; input_mtok = 1.0; output_mtok = 2.0; '
    'tier = "large"; context = 32768'
)
SOURCE = """class Call {
  number string
  agrees bool
}
client<llm> Gateway {
  provider openai-generic
  options {
    base_url "URL"
    api_key "none"
    model "cloud/all"
  }
}
function Compare(photo: image, call: audio, report: pdf) -> Call {
  client Gateway
  prompt #"
    {{ _.role("user") }}
    {{ photo }}{{ call }}{{ report }}
    Does the call agree with the invoice?
    {{ ctx.output_format }}
  "#
}
"""


class Made(types.ModuleType):
    """Stands for the module that BAML generates: classes are what they were made of."""

    model_validate = staticmethod(dict)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self


@pytest.fixture
def configured(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, HEARING))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    return path


def of(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


async def _streamed(runtime: Any, given: Any) -> Any:
    context = runtime.create_context_manager()
    return await runtime.stream_function("Compare", given, None, context, None, None, [], {}, {}).done(context)


@pytest.mark.parametrize("streamed", [False, True])
def test_bamls_client_sends_an_image_audio_and_a_pdf_through_the_gateway(
    house: GatewayServer, host: FakeHost, media: Path, streamed: bool
) -> None:
    host.answer = 'It does: {"number": "INV-7", "agrees": true}'
    source = SOURCE.replace("URL", house.base_url)
    runtime = baml_py.baml_py.BamlRuntime.from_files("baml_src", {"call.baml": source}, {})
    given = {
        "photo": baml_py.Image.from_base64("image/png", of(media / "screenshot-invoice.png")),
        "call": baml_py.Audio.from_base64("audio/wav", of(media / "jfk.wav")),
        "report": baml_py.Pdf.from_base64(of(media / "report.pdf")),
    }
    context, made = runtime.create_context_manager(), Made("made")
    if streamed:  # not by its synchronous stream, which holds the interpreter: the gateway is of this process
        result = asyncio.run(_streamed(runtime, given))
    else:
        result = runtime.call_function_sync("Compare", given, context, None, None, [], {}, {})
    assert result.cast_to(made, made, made, False, runtime) == {"number": "INV-7", "agrees": True}
    sent = host.attempts[-1]
    kinds = [part["type"] for part in sent.json["messages"][-1]["content"]]
    assert {"image_url", "input_audio", "text"} <= set(kinds)
    assert (media / "screenshot-invoice.png").read_bytes() in sent.images, "pages of the report may go beside it"
