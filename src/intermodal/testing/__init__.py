"""A fake host for tests: a real HTTP server on loopback that speaks the OpenAI-compatible API and answers by script.

It is a fake. No model runs in it; it says what you tell it to, counts words as tokens and misbehaves on
demand. What it proves is what *arrived*: every attempt is recorded. It shares no code with ``protocols/``, so
that a mistake there cannot cancel itself out here.

    with FakeHost(answer="Four.") as host:
        ...  # any OpenAI-compatible client at host.base_url
    assert host.attempts[0].images == ()

``FakeVendor`` does the same for vendors with a protocol of their own: Anthropic, Gemini, Ollama, OpenAI's responses.

``EmulatedOllama`` and ``EmulatedLMStudio`` are doors before a real engine: those dialects, and answers of a model.

Faults are chosen by the constructor (``fault=Fault("unavailable", times=2)``) or by the model's name:
``any/thing-fault-cut-5`` cuts the stream after 5 tokens, ``…-fault-limited-0.2-x2`` asks twice to wait 0.2 s.
"""

from __future__ import annotations

from intermodal.testing.arrived import Answer, Attempt, echo, minimal
from intermodal.testing.doors import Held
from intermodal.testing.engine import Engine
from intermodal.testing.faults import CUTS, MANNERS, REFUSALS, Fault
from intermodal.testing.lmstudio_door import EmulatedLMStudio
from intermodal.testing.ollama_door import EmulatedOllama
from intermodal.testing.server import FakeHost
from intermodal.testing.vendors import FakeVendor

__all__ = [
    "CUTS", "MANNERS", "REFUSALS", "Answer", "Attempt", "EmulatedLMStudio", "EmulatedOllama", "Engine", "FakeHost",
    "FakeVendor", "Fault", "Held", "echo", "minimal",
]  # fmt: skip
