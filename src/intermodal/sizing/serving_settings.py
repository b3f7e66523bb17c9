"""Settings under which a model is served, as the formulas need them beside its shape."""

from __future__ import annotations

from typing import Final, Literal

from intermodal.content import Value
from intermodal.sizing.shape import ModelShape

ALL: Final = -1  # layers on the device
Device = Literal["host", "device"]  # the place of a term: the machine's memory, or the cards'


class ServingSettings(Value):
    """The settings of a served model; defaults are llama-server's with one slot.

    Attributes:
        context: tokens of all slots together (``-c``). slots: texts at once (``-np``). unified: slots share the cache
            (``--kv-unified``). batch, ubatch: tokens read at once (``-b``, ``-ub``).
        type_k, type_v: of the cache (``-ctk``, ``-ctv``). flash_attention: ``-fa``. swa_full: ``--swa-full``.
        gpu_layers: layers on the device, the last ones, the output counting as one; -1 for all (``-ngl``).
        host_experts: first layers whose experts stay on the host (``--n-cpu-moe``). cache_on_host: ``--no-kv-offload``.
        projector: encoder beside it (``--mmproj``). projector_on_host: ``--no-mmproj-offload``.
        draft: small model for speculative decoding (``-md``). speculates: the model's own extra layers are used.
    """

    context: int
    slots: int = 1
    unified: bool = False
    batch: int = 2048
    ubatch: int = 512
    type_k: str = "f16"
    type_v: str = "f16"
    flash_attention: bool = True
    swa_full: bool = False
    gpu_layers: int = 0
    host_experts: int = 0
    cache_on_host: bool = False
    projector: ModelShape | None = None
    projector_on_host: bool = False
    draft: ModelShape | None = None
    speculates: bool = False
