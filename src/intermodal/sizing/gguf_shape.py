"""The shape of a model from its GGUF headers. Does no I/O.

Keys are those of ggml's ``docs/gguf.md``; missing keys have llama.cpp's defaults
(``llama_model_base::load_hparams``).

The layer layout that llama.cpp uses for each architecture is in the tables at the end. Source: llama.cpp of October
2026, ``load_arch_hparams`` in ``src/models/*.cpp``, ``llama_model::create_memory`` in ``src/llama-model.cpp``,
``llm_arch_is_recurrent`` and ``llm_arch_is_hybrid`` in ``src/llama-arch.cpp``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import Any, Final, Literal

from intermodal.core.content import Value
from intermodal.errors import WeightsError
from intermodal.local.weights.gguf import GgufHeader, GgufTensor
from intermodal.sizing.shape import EncoderShape, Layer, Memorizing, ModelShape

MAX_LAYERS: Final = 1024  # twice llama.cpp's limit
MAX_EXPERTS: Final = 4096  # several times llama.cpp's limit
MAX_USED: Final = 256  # experts used for one token
MAX_NUMBER: Final = 1 << 40  # upper limit of any count in the metadata
_BLOCK: Final = re.compile(r"blk\.(\d{1,4})\.(.+)")
_ROUTED: Final = re.compile(r"ffn_(?:up|down|gate|gate_up)(?:_exps|\.\d+)(?:\.|_|$)")
_EMBEDDINGS: Final = ("token_embd.weight",)
_OUTPUT: Final = ("output.weight",)
_PER_LAYER: Final = ("per_layer_token_embd.weight", "engram_embd.weight")


def gguf_shape(headers: Sequence[GgufHeader], *, name: str = "") -> ModelShape:
    """Return the shape of the model in ``headers``: one file, or all parts of a split file in order.

    Raises:
        WeightsError: parts are missing, or counts in the metadata are impossible.
    """
    first = headers[0]
    _complete(headers, name)
    facts = _Facts(first, name)
    if first.architecture == "clip" or facts.read_text("general.type") == "mmproj":
        return _projector(headers, facts, name)
    tensors = [tensor for header in headers for tensor in header.tensors]
    groups = _Groups(tensors, facts)
    layers, problems = _layers(facts, groups)
    extra = min(facts.count("nextn_predict_layers"), len(layers))
    trunk = len(layers) - extra
    experts, used = facts.count("expert_count"), facts.read_largest("expert_used_count")
    if experts > MAX_EXPERTS or used > MAX_USED or (experts and used > experts):
        raise facts.invalid_metadata(f"claims {experts:,} experts, of which {used:,} answer one token")
    return ModelShape(
        name=name or facts.read_text("general.name"),
        architecture=first.architecture,
        memorizing=_memorizing(first.architecture, problems),
        layers=layers[:trunk],
        extra_layers=layers[trunk:],
        embd=facts.count("embedding_length"),
        ff=facts.read_largest("feed_forward_length"),
        vocab=groups.vocab or facts.count("vocab_size"),
        context=first.context_length,
        experts=experts,
        experts_used=used,
        expert_ff=facts.read_largest("expert_feed_forward_length"),
        embd_in=facts.count("embedding_length") * (1 + facts.count("n_deepstack_layers")),
        index_key=facts.count("attention.indexer.key_length"),
        embeddings=groups.embeddings,
        output=groups.output,
        per_layer_embeddings=groups.per_layer,
        rest=groups.rest,
        parameters=groups.parameters,
        active=round(groups.parameters - groups.looked_up - groups.routed * (1 - used / experts if experts else 0)),
        types=tuple(groups.types.most_common()),
        pools=facts.count("pooling_type") > 0,
        problems=problems,
    )


def _complete(headers: Sequence[GgufHeader], name: str) -> None:
    """Raise WeightsError if parts of a split file are missing: sums over the rest would be too low."""
    split_count = headers[0].metadata.get("split.count")
    parts = split_count if isinstance(split_count, int) and split_count > 0 else 1
    if len(headers) != parts:
        raise WeightsError(
            f"is split into {parts} files, of which {len(headers)} were given", where=name,
            todo="name the first part, with all others beside it",
        )  # fmt: skip


def part_names(name: str) -> tuple[str, ...]:
    """Return the names of all parts of a split file, given any of them; otherwise the name itself."""
    found = re.fullmatch(r"(.*-)(\d{5})-of-(\d{5})(\.gguf|\.safetensors)", name)
    if found is None or not 1 <= int(found[3]) <= MAX_LAYERS:
        return (name,)
    return tuple(f"{found[1]}{number:05d}-of-{found[3]}{found[4]}" for number in range(1, int(found[3]) + 1))


def is_projector(name: str) -> bool:
    """Return whether a file is an image or audio projector, judged by its name."""
    return name.endswith(".gguf") and "mmproj" in name.rpartition("/")[2].lower()


def is_model(name: str) -> bool:
    """Return whether a file is a GGUF model or the first part of one, judged by its name.

    >>> is_model("a/Qwen3-4B-Q8_0-00001-of-00002.gguf"), is_model("a/Qwen3-4B-Q8_0-00002-of-00002.gguf")
    (True, False)
    """
    base = name.rpartition("/")[2]
    return name.endswith(".gguf") and not is_projector(name) and part_names(base)[0] == base


class _Facts:
    """Metadata under the architecture's prefix, with numbers checked against impossible values."""

    def __init__(self, header: GgufHeader, where: str) -> None:
        self._metadata = header.metadata
        self._prefix = header.architecture
        self._where = where

    def invalid_metadata(self, what: str) -> WeightsError:
        return WeightsError(what, where=self._where, todo="fetch the file again")

    def read_text(self, key: str) -> str:
        found = self._metadata.get(key)
        return found if isinstance(found, str) else ""

    def raw(self, key: str) -> Any:
        return self._metadata.get(f"{self._prefix}.{key}")

    def has_key(self, key: str) -> bool:
        return f"{self._prefix}.{key}" in self._metadata

    def count(self, key: str, otherwise: int = 0) -> int:
        """Return a scalar, or the first element of a list."""
        found = self.raw(key)
        if isinstance(found, tuple):
            found = found[0] if found else None
        return self.to_int(found, otherwise)

    def read_largest(self, key: str) -> int:
        """Return a scalar, or the largest element of a list."""
        found = self.raw(key)
        return max(map(self.to_int, found), default=0) if isinstance(found, tuple) else self.to_int(found)

    def read_per_layer(self, key: str, layers: int, otherwise: Sequence[int]) -> tuple[int, ...]:
        """Return one number per layer, from a scalar or a list."""
        found = self.raw(key)
        if isinstance(found, tuple):
            if len(found) < layers:
                raise self.invalid_metadata(f"has {len(found)} of {key} for {layers} layers")
            return tuple(map(self.to_int, found[:layers]))
        return (self.to_int(found),) * layers if found is not None else tuple(otherwise)

    def to_int(self, found: Any, otherwise: int = 0) -> int:
        if isinstance(found, bool) or not isinstance(found, int | float):
            return int(found) if isinstance(found, bool) else otherwise
        if not 0 <= found < MAX_NUMBER:  # also rejects NaN and infinity
            raise self.invalid_metadata(f"has the impossible count {found} in its header")
        return int(found)


class _Groups:
    """Bytes and value counts of the tensor index, grouped by purpose."""

    def __init__(self, tensors: Sequence[GgufTensor], facts: _Facts) -> None:
        blocks = facts.count("block_count")
        self.embeddings = self.output = self.per_layer = self.rest = 0
        self.parameters = self.routed = self.looked_up = self.vocab = 0
        self.types: Counter[str] = Counter()
        self.weights: Counter[int] = Counter()
        self.experts: Counter[int] = Counter()
        self.tensors: dict[int, list[tuple[str, tuple[int, ...]]]] = {}
        table = 0
        for tensor in tensors:
            numbers = prod(tensor.dims)
            self.parameters += numbers
            self.types[tensor.type] += tensor.size
            block = _BLOCK.fullmatch(tensor.name)
            if block is not None:
                index = int(block[1])
                if index >= max(blocks, 1):
                    raise facts.invalid_metadata(f"has tensors of layer {index}, and says it has {blocks} layers")
                self.weights[index] += tensor.size
                self.tensors.setdefault(index, []).append((block[2].removesuffix(".weight"), tensor.dims))
                if _ROUTED.match(block[2]):
                    self.experts[index] += tensor.size
                    self.routed += numbers
            elif tensor.name in _EMBEDDINGS:
                self.embeddings += tensor.size
                self.vocab = tensor.dims[-1] if len(tensor.dims) > 1 else 0
                table = numbers
            elif tensor.name in _OUTPUT:
                self.output += tensor.size
            elif tensor.name in _PER_LAYER:
                self.per_layer += tensor.size
                self.looked_up += numbers
            else:
                self.rest += tensor.size
        if self.output:
            self.looked_up += table


# ---- layers ----------------------------------------------------------------------------------------


def _layers(facts: _Facts, groups: _Groups) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    count = facts.count("block_count")
    if count > MAX_LAYERS:
        raise facts.invalid_metadata(f"claims {count:,} layers")
    architecture = facts.read_text("general.architecture")
    heads = facts.read_per_layer("attention.head_count", count, (0,) * count)
    kv_heads = facts.read_per_layer("attention.head_count_kv", count, heads)
    problems = [] if is_known(architecture) else [f"the architecture {architecture or '(none)'} is not known here"]
    windows, doubt = _windows(facts, count)
    problems += [doubt] if doubt else []
    widths = _Widths(facts, heads[0] if heads else 0)
    recurrent, conv, state = _recurrent(facts, count, kv_heads)
    shared_from = _shared_from(facts, count)
    ff = facts.read_per_layer("feed_forward_length", count, (0,) * count)
    kind = RECURRENT.get(architecture, "")
    layers: list[Layer] = []
    for index in range(count):
        attends = heads[index] > 0 and (not recurrent[index] or kind == "beside")
        if kind == "kv_ff" and ff[index] > 0:
            attends = False
        key, value = widths.widths_of(windows[index] > 0)
        layers.append(
            Layer(
                heads=heads[index],
                kv_heads=kv_heads[index] if attends else 0,
                key=key if attends else 0,
                value=value if attends else 0,
                window=windows[index],
                cached=attends and index < shared_from and architecture not in WITHOUT_CACHE,
                values=not widths.latent,
                conv=conv if recurrent[index] else 0,
                state=state if recurrent[index] else 0,
                ff=ff[index],
                weights=groups.weights[index],
                experts=groups.experts[index],
                tensors=tuple(groups.tensors.get(index, ())),
            )
        )
    return tuple(layers), tuple(problems)


class _Widths:
    """Key and value lengths of a head, with and without a sliding window."""

    def __init__(self, facts: _Facts, heads: int) -> None:
        plain = facts.count("embedding_length") // heads if heads else 0
        self.key, self.value = facts.count("attention.key_length", plain), facts.count("attention.value_length", plain)
        self.key_window = facts.count("attention.key_length_swa", self.key)
        self.value_window = facts.count("attention.value_length_swa", self.value)
        # one latent vector per token replaces the keys and values of all heads
        self.latent = facts.count("attention.key_length_mla") > 0 and facts.count("attention.value_length_mla") > 0

    def widths_of(self, window: bool) -> tuple[int, int]:
        return (self.key_window, self.value_window) if window else (self.key, self.value)


def _windows(facts: _Facts, count: int) -> tuple[tuple[int, ...], str]:
    """Return the sliding window of each layer in tokens, and the problem with determining it, if any.

    A window of 0 is full attention.
    """
    architecture = facts.read_text("general.architecture")
    if architecture in ("lfm2", "lfm2moe"):
        return (facts.count("attention.sliding_window"),) * count, ""
    row = WINDOWS.get(architecture)
    if architecture == "exaone4" and count == EXAONE4_LAYERS:
        row = EXAONE4
    if row is None:
        return (0,) * count, ""
    stated_window = facts.count("attention.sliding_window", -1)
    if (row.without and stated_window <= 0) or (architecture == "llama4" and stated_window == 0):
        return (0,) * count, ""
    size = row.size if row.always else (stated_window if stated_window > 0 else row.size)
    if not size:
        return (0,) * count, "the size of its sliding window is not in the file"
    pattern = facts.raw("attention.sliding_window_pattern")
    if isinstance(pattern, tuple):
        return tuple(
            size if flag else 0 for flag in facts.read_per_layer("attention.sliding_window_pattern", count, ())
        ), ""
    if row.needs:
        return (0,) * count, "which layers have a sliding window is not in the file"
    return tuple(size if _slides(row, index, facts.to_int(pattern, row.every)) else 0 for index in range(count)), ""


def _slides(row: SlidingWindow, index: int, every: int) -> bool:
    if every == 0:
        return True
    return index % every != 0 if row.first else index % every < every - 1


def _recurrent(facts: _Facts, count: int, kv_heads: Sequence[int]) -> tuple[tuple[bool, ...], int, int]:
    """Return which layers keep a recurrent state, and the value counts of its two parts.

    The parts are ``n_embd_r`` and ``n_embd_s`` of llama.cpp.
    """
    architecture = facts.read_text("general.architecture")
    kind = RECURRENT.get(architecture, "")
    if not kind:
        return (False,) * count, 0, 0
    trunk = count - facts.count("nextn_predict_layers")
    every = facts.count("full_attention_interval", INTERVALS.get(architecture, 4))
    layer_flags = facts.raw("attention.recurrent_layers")
    ff = facts.read_per_layer("feed_forward_length", count, (0,) * count)
    if kind in ("all", "beside"):
        found = (True,) * count
    elif kind == "kv":
        found = tuple(heads == 0 for heads in kv_heads)
    elif kind == "kv_ff":
        found = tuple(heads == 0 and ff[index] == 0 for index, heads in enumerate(kv_heads))
    elif isinstance(layer_flags, tuple) and len(layer_flags) >= count:
        found = tuple(bool(flag) for flag in layer_flags[:count])
    else:
        found = tuple(every == 0 or (index + 1) % every != 0 for index in range(count))
    conv, state = _state_numbers(facts, architecture)
    return tuple(flag and index < trunk for index, flag in enumerate(found)), conv, state


def _state_numbers(facts: _Facts, architecture: str) -> tuple[int, int]:
    embd, heads = facts.count("embedding_length"), facts.read_largest("attention.head_count")
    kernel, inner = facts.count("ssm.conv_kernel"), facts.count("ssm.inner_size")
    if head := facts.count("wkv.head_size"):
        return facts.count("token_shift_count", 2) * embd, embd * head
    if taps := facts.count("shortconv.l_cache"):
        return embd * (taps - 1), 0
    if head := facts.count("kda.head_dim"):
        return 3 * ((kernel - 1) if kernel else 3) * heads * head, head * head * heads
    groups, size = facts.count("ssm.group_count"), facts.count("ssm.state_size")
    conv = (kernel - 1 if kernel else 0) * (inner + 2 * groups * size)
    if architecture == "minimax-01":
        head = facts.count("attention.key_length", embd // heads if heads else 0)
        return conv, head * head * heads
    return conv, size * inner


def _shared_from(facts: _Facts, count: int) -> int:
    """Return the index of the first layer that uses keys and values of an earlier layer."""
    architecture = facts.read_text("general.architecture")
    if architecture == "gemma3n":
        return min(20, count)
    return count - facts.count("attention.shared_kv_layers") if architecture == "gemma4" else count


def _memorizing(architecture: str, problems: Sequence[str]) -> Memorizing:
    if problems:
        return "unknown"
    if architecture in WITHOUT_CACHE:
        return "none"
    kind = RECURRENT.get(architecture, "")
    return "attention" if not kind else ("recurrent" if kind == "all" else "hybrid")


# ---- a projector -------------------------------------------------------------------------------------


def _projector(headers: Sequence[GgufHeader], facts: _Facts, name: str) -> ModelShape:
    """Return the shape of a projector: its encoders, with all tensors counted as ``rest``."""
    metadata = headers[0].metadata
    tensors = [tensor for header in headers for tensor in header.tensors]
    encoders: list[EncoderShape] = []
    types: Counter[str] = Counter()
    for tensor in tensors:
        types[tensor.type] += tensor.size
    for kind in ("vision", "audio"):
        if not metadata.get(f"clip.has_{kind}_encoder"):
            continue
        size, patch = facts.count(f"{kind}.image_size"), facts.count(f"{kind}.patch_size")
        projector = metadata.get(f"clip.{kind}.projector_type") or metadata.get("clip.projector_type") or ""
        encoders.append(
            EncoderShape(
                kind="vision" if kind == "vision" else "audio",
                projector=str(projector),
                layers=facts.count(f"{kind}.block_count"),
                embd=facts.count(f"{kind}.embedding_length"),
                heads=facts.count(f"{kind}.attention.head_count"),
                ff=facts.count(f"{kind}.feed_forward_length"),
                patches=(size // patch) ** 2 if patch else 0,
            )
        )
    numbers = sum(prod(tensor.dims) for tensor in tensors)
    return ModelShape(
        name=name or facts.read_text("general.name"), role="projector", architecture=headers[0].architecture,
        memorizing="none", rest=sum(tensor.size for tensor in tensors), parameters=numbers, active=numbers,
        types=tuple(types.most_common()), encoders=tuple(encoders),
        problems=() if encoders else ("it describes no encoder",),
    )  # fmt: skip


# ---- layouts by architecture ------------------------------------------------------------------------


Recurring = Literal["", "all", "kv", "kv_ff", "interval", "beside"]


class SlidingWindow(Value, gc=False):
    """Which layers use a sliding window.

    Attributes:
        every: one layer in this many has full attention; 0: none. first: the full layer is the first of each group,
            otherwise the last. size: window in tokens, if the file does not state it. always: use ``size`` even if it
            does.
        needs: the file has to list the layers, otherwise they are unknown.
        without: if the file states no window, there is none.
    """

    every: int = 0
    first: bool = False
    size: int = 0
    always: bool = False
    needs: bool = False
    without: bool = False


WINDOWS: Final[dict[str, SlidingWindow]] = {
    "afmoe": SlidingWindow(every=4, without=True),
    "cohere2": SlidingWindow(every=4),
    "cohere2moe": SlidingWindow(every=4, first=True),
    "exaone-moe": SlidingWindow(every=4, size=128),
    "gemma2": SlidingWindow(every=2, size=4096),
    "gemma3": SlidingWindow(every=6, without=True),
    "gemma3n": SlidingWindow(every=5),
    "gemma4": SlidingWindow(needs=True),
    "gpt-oss": SlidingWindow(every=2),
    "granite_swa": SlidingWindow(needs=True),
    "laguna": SlidingWindow(every=4, first=True, without=True),
    "llama4": SlidingWindow(every=4, size=8192, always=True),
    "maple": SlidingWindow(needs=True),
    "mellum": SlidingWindow(every=4, without=True),
    "mimo2": SlidingWindow(needs=True),
    "muse-glimmer": SlidingWindow(every=4),
    "olmo2": SlidingWindow(every=4, without=True),
    "plamo3": SlidingWindow(every=8, without=True),
    "smallthinker": SlidingWindow(every=4, first=True, size=4096, always=True, without=True),
    "spark2_5": SlidingWindow(needs=True),
    "step35": SlidingWindow(needs=True),
}
EXAONE4_LAYERS: Final = 64  # only this size of the model has windows
EXAONE4: Final = SlidingWindow(every=4, size=4096)

# Which layers keep a recurrent state. all: every layer; kv: layers with 0 key/value heads; kv_ff: those that also have
# no feed-forward width; interval: all but every n-th; beside: every layer has attention and a state.
RECURRENT: Final[dict[str, Recurring]] = {
    "mamba": "all", "mamba2": "all", "rwkv6": "all", "rwkv6qwen2": "all", "rwkv7": "all", "arwkv7": "all",
    "jamba": "kv", "plamo2": "kv", "granitehybrid": "kv", "lfm2": "kv", "lfm2moe": "kv", "kimi-linear": "kv",
    "kimi-k3": "kv", "bailingmoe3": "kv", "nemotron_h": "kv_ff", "nemotron_h_moe": "kv_ff",
    "qwen3next": "interval", "qwen35": "interval", "qwen35moe": "interval", "minimax-01": "interval",
    "falcon-h1": "beside",
}  # fmt: skip
INTERVALS: Final[dict[str, int]] = {"minimax-01": 8}  # one layer in this many has full attention; default 4

# Models without a cache: embedding encoders, which read a text once, and diffusion language models.
WITHOUT_CACHE: Final = frozenset(
    (
        "bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "jina-bert-v3", "eurobert",
        "gemma-embedding", "wavtokenizer-dec", "t5encoder", "dream", "llada", "llada-moe", "rnd1",
    )
)  # fmt: skip
# Latent attention with a sparse index of one key per token.
INDEXED: Final = frozenset(("deepseek32", "glm-dsa"))
# Full attention with keys and values in every layer.
PLAIN: Final = frozenset((
    "llama", "deci", "falcon", "grok", "gpt2", "gptj", "gptneox", "mpt", "baichuan", "starcoder", "refact", "bloom",
    "stablelm", "qwen", "qwen2", "qwen2moe", "qwen2vl", "qwen3", "qwen3moe", "qwen3vl", "qwen3vlmoe", "phi2", "phi3",
    "phimoe", "plamo", "codeshell", "orion", "internlm2", "minicpm", "minicpm3", "gemma", "starcoder2", "xverse",
    "command-r", "dbrx", "olmo", "olmoe", "openelm", "arctic", "deepseek", "deepseek2", "deepseek2-ocr", "chatglm",
    "glm4", "glm4moe", "bitnet", "jais", "jais2", "nemotron", "exaone", "exaone4", "granite", "granitemoe",
    "chameleon", "plm", "bailingmoe", "bailingmoe2", "dots1", "arcee", "ernie4_5", "ernie4_5-moe", "hunyuan-moe",
    "hunyuan-dense", "hunyuan_vl", "smollm3", "seed_oss", "grovemoe", "apertus", "minimax-m2", "cogvlm",
    "pangu-embedded", "mistral3", "mistral4", "paddleocr", "llama-embed", "maincoder",
))  # fmt: skip


def is_known(architecture: str) -> bool:
    """Return whether the memory layout of ``architecture`` is known."""
    return (
        architecture in PLAIN
        or architecture in WINDOWS
        or architecture in RECURRENT
        or architecture in WITHOUT_CACHE
        or architecture in INDEXED
    )


__all__ = ["SlidingWindow", "gguf_shape", "is_known", "part_names"]
