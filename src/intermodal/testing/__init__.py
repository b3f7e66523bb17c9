"""Fake hosts for tests: real HTTP servers on loopback with scripted answers, which record every request.

A fake runs no model: it gives the answer it was told to give, counts words as tokens, and misbehaves on demand. It
shares no code with ``protocols/``, so that a mistake there cannot cancel itself out here.

    with FakeHost(answer="Four.") as host:
        ...  # any OpenAI-compatible client at host.base_url
    assert host.attempts[0].images == ()

``FakeVendor`` does the same for vendors' own protocols: Anthropic, Gemini, Ollama, and OpenAI's responses.
``EmulatedOllama`` and ``EmulatedLMStudio`` put the APIs of those servers in front of a real engine, whose model
answers.

Faults are chosen in the constructor (``fault=Fault("unavailable", times=2)``) or by the model's name:
``any/thing-fault-cut-5`` cuts the stream after 5 tokens, and ``…-fault-limited-0.2-x2`` asks the client twice to wait
0.2 s.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from intermodal.testing.attempts import Answer, Attempt, echo, minimal
from intermodal.testing.emulated_servers import EmulatedLMStudio, EmulatedOllama, Engine, ListedModel
from intermodal.testing.fake_host import CUTS, MANNERS, REFUSALS, FakeHost, Fault
from intermodal.testing.fake_vendor import FakeVendor

if not TYPE_CHECKING:  # a type checker would otherwise accept any name

    def __getattr__(name: str) -> Any:
        """Return the object that had another name in the previous version, with a warning."""
        if name == "Held":
            warnings.warn("intermodal.testing.Held is ListedModel now", DeprecationWarning, stacklevel=2)
            return ListedModel
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "CUTS",
    "MANNERS",
    "REFUSALS",
    "Answer",
    "Attempt",
    "EmulatedLMStudio",
    "EmulatedOllama",
    "Engine",
    "FakeHost",
    "FakeVendor",
    "Fault",
    "ListedModel",
    "echo",
    "minimal",
]
