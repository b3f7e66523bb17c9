"""``intermodal fit --engine vllm``: vLLM takes a share of each card, and the rest of it is cache for requests."""

from __future__ import annotations

from msgspec.structs import replace

from intermodal.content import Value
from intermodal.errors import UsageError
from intermodal.hints import hint, setting
from intermodal.model_fit.fit_query import FitQuery
from intermodal.plans.machine import Machine
from intermodal.quantity import Quantity
from intermodal.sizing.fit_changes import FitChange, vllm_changes, vllm_command
from intermodal.sizing.memory_corrections import Correction
from intermodal.sizing.placement import Verdict, table_contexts
from intermodal.sizing.server_command import ModelReference
from intermodal.sizing.serving_settings import ALL, ServingSettings
from intermodal.sizing.shape import ModelShape
from intermodal.sizing.speed import ModelSpeed, model_speed
from intermodal.sizing.vllm import VllmCapacity, VllmSettings, vllm_capacity

CONTEXT = 8192  # tokens of a request, where the model allows more and none are stated
_CACHES = {"f16": 2, "bf16": 2, "f32": 4, "q8_0": 1}  # bytes of a number; vLLM's own eight bits are fp8


class VllmReport(Value):
    """The answer.

    Attributes:
        served: of each card. context: tokens of each text. room: bytes of one card that vLLM takes.
        table: texts at once, by context. changes: what would make it fit, the cheapest first; () where it does.
    """

    subject: ModelReference
    name: str
    machine: Machine
    here: bool
    context: int
    serving: VllmSettings
    served: VllmCapacity
    pace: ModelSpeed
    room: int
    table: tuple[tuple[int, Quantity], ...]
    command: str
    changes: tuple[FitChange, ...] = ()
    read: int = 0
    requests: int = 0

    @property
    def parts(self) -> tuple[tuple[str, float], ...]:
        """Return the division of one card, in bytes: the rest of the share that vLLM takes is for texts."""
        found = self.served
        return ("weights", found.weights.mid), ("overhead", found.overhead.mid), ("keys and values", found.cache.mid)

    @property
    def verdict(self) -> Verdict:
        if self.served.fits is None:
            return "tight" if self.served.texts.known else "unknown"
        if not self.served.fits:
            return "no"
        return "fits" if self.served.texts.low >= self.serving.slots else "tight"


def vllm_report(
    wish: FitQuery, subject: ModelReference, shape: ModelShape, machine: Machine, *, here: bool,
    corrections: tuple[Correction, ...] = (),
) -> VllmReport:  # fmt: skip
    """Return the report, from values alone. ``corrections``: measurements of its files on this machine.

    Raises:
        UsageError: there is no card, it is one that vLLM does not run on, the cards do not divide the model, or keys
            and values are wanted in a type that vLLM has not.
    """
    if not machine.gpus:
        raise UsageError(
            "vLLM is sized for cards, and there is none",
            where=setting("engine", "vllm"),
            todo=hint("name one with {gpu}"),
        )
    if any(gpu.name.startswith("Apple") for gpu in machine.gpus):
        raise UsageError(
            "vLLM itself runs on the processor of Apple's chips only, and the plugin for their graphics part "
            "(vllm-metal) has memory of its own rules", where=setting("engine", "vllm"),
            todo=hint("size a GGUF of it for llama.cpp: hf:OWNER/REPO-GGUF {engine=}", "llama.cpp"),
        )  # fmt: skip
    if wish.projector or wish.draft:
        option = setting("mmproj") if wish.projector else setting("draft")
        raise UsageError("is of llama.cpp", where=option, todo="leave it out: vLLM reads one folder")
    if wish.type_k not in _CACHES or wish.type_k != wish.type_v:
        raise UsageError(
            f"vLLM keeps no {wish.type_k} cache", where=setting("kv"), todo="write f16, or q8_0 for its fp8"
        )
    context = max(wish.contexts) if wish.contexts else min(shape.context or CONTEXT, CONTEXT)
    smallest = min(machine.gpus, key=lambda gpu: gpu.memory)
    serving = VllmSettings(
        memory=smallest.memory, length=context, slots=wish.slots, cards=len(machine.gpus),
        cache_bytes=_CACHES[wish.type_k],
    )  # fmt: skip
    found = vllm_capacity(shape, serving, corrections)
    sizes = wish.contexts or table_contexts(shape, ())

    def decode(of: ModelShape, tried: VllmSettings) -> Quantity:
        return _pace(of, tried.length, machine, replace(wish, slots=tried.slots)).decode

    whole = VllmReport(
        subject=subject,
        name=subject.path or subject.reference,
        machine=machine,
        here=here,
        context=context,
        serving=serving,
        served=found,
        pace=_pace(shape, context, machine, wish),
        room=round(smallest.memory * serving.utilization),
        table=tuple(
            (length, vllm_capacity(shape, replace(serving, length=length), corrections).texts) for length in sizes
        ),
        command=vllm_command(wish.model.removeprefix("hf:"), serving),
    )
    if whole.verdict in ("fits", "unknown"):
        return whole
    return replace(whole, changes=vllm_changes(wish.model.removeprefix("hf:"), shape, serving, decode, corrections))


def _pace(shape: ModelShape, context: int, machine: Machine, wish: FitQuery) -> ModelSpeed:
    """Tensor parallelism reads on all cards at the same time: as one card with the bandwidth of all of the slowest."""
    slowest = min(machine.gpus, key=lambda gpu: gpu.bandwidth)
    cards = len(machine.gpus)
    name = f"{cards} cards like {slowest.name}" if cards > 1 else slowest.name
    one = replace(slowest, name=name, bandwidth=slowest.bandwidth * cards, compute=slowest.compute * cards)
    settings = ServingSettings(context=context * wish.slots, slots=wish.slots, gpu_layers=ALL)
    return model_speed(
        shape, settings, replace(machine, gpus=(one,)), prompt=min(wish.prompt, context), users=wish.slots
    )
