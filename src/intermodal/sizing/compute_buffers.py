"""Sizes in bytes of llama.cpp's compute and output buffers.

Source: ``llama_context::sched_reserve`` and ``output_reserve``. llama.cpp allocates the graph of ``ubatch`` tokens over
a full cache once; the log reports its size as ``sched_reserve: ... compute buffer size``. For known architectures
(``compute_graph``) this module builds and allocates the same graph. For others it uses a formula, fitted to the logs of
six models of 4 to 30 billion parameters with flash attention (-6 % to +4 %): the largest part is either the
feed-forward activations (for each token the input, two halves and their product) or the logits; the attention mask is
added.

The graph: ``llm_graph_context`` in llama.cpp's ``src/llama-graph.cpp`` (``build_attn``, ``build_ffn``,
``build_moe_ffn``, ``build_rs``) and ``src/models/*.cpp`` of October 2026. The operations of a layer follow from the
tensors it has, so one builder covers many architectures.

The allocator: ``ggml_gallocr_alloc_graph_impl`` and ``ggml_dyn_tallocr`` of ggml's ``ggml-alloc.c``. Tensors are
allocated in the order in which they are computed, in the smallest free block that holds them; some operations reuse the
memory of an input. Because of fragmentation the buffer is larger than the tensors alive at any time, so its size is
found by running the allocator.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Final

from intermodal.core.quantity import Quantity, between, exact
from intermodal.sizing.kv_cache import cache_cells, is_quantized, window_cells
from intermodal.sizing.shape import Layer, ModelShape, ServingSettings

_FLOAT: Final = 4
_MASK: Final = 2  # bytes of a mask element with flash attention
_HOST_ALIGN, _DEVICE_ALIGN = 32, 128  # alignment in bytes of ggml's CPU and CUDA buffers
_SLACK: Final = (0.7, 1.5)  # around the formula's result: graphs differ, and freed blocks leave gaps


def compute_buffer(shape: ModelShape, settings: ServingSettings, *, on_device: bool) -> Quantity:
    """Return the size of the compute buffer on the GPU (``on_device``) or on the host."""
    found = compute_graph(shape, settings, _DEVICE_ALIGN if on_device else _HOST_ALIGN)
    if found is not None:
        return _allocated_size(shape, settings, found.device_size() if on_device else found.size())
    middle = _formula(shape, settings)
    return between(middle * _SLACK[0], middle, middle * _SLACK[1], "formula of the compute buffer")


def input_buffer(shape: ModelShape, settings: ServingSettings) -> Quantity:
    """Return the size of the input buffer on the host when the layers run on a GPU."""
    found = compute_graph(shape, settings, _HOST_ALIGN)
    if found is not None:
        return _allocated_size(shape, settings, found.host_size())
    middle = _masks(shape, settings) + 2 * _FLOAT * shape.embd * cache_cells(settings).ubatch
    return between(middle * _SLACK[0], middle, middle * _SLACK[1], "formula of the compute buffer")


def _allocated_size(shape: ModelShape, settings: ServingSettings, size: int) -> Quantity:
    """Return the allocated size as a range.

    Builds before October 2026 have no mixed batch of tokens and embeddings, so they need two vectors per token less.
    """
    older = max(0, size - 2 * _FLOAT * shape.embd * cache_cells(settings).ubatch)
    low, high = (older, size * 1.03) if is_validated(shape) else (min(older, size * 0.85), size * 1.2)
    return between(low, size, high, "its graph, laid out")


def _formula(shape: ModelShape, settings: ServingSettings) -> float:
    found = cache_cells(settings)
    width = max(shape.ff, shape.expert_ff * shape.experts_used, 2 * shape.embd)
    inner = found.ubatch * (4 * width * _FLOAT)
    logits = _FLOAT * shape.vocab * min(found.ubatch, settings.slots)
    products = 0 if settings.flash_attention else found.ubatch * _FLOAT * _most_heads(shape) * found.each
    inner = max(inner, products + found.ubatch * 4 * shape.embd * _FLOAT, logits)
    return inner + _masks(shape, settings)


def output_buffer(shape: ModelShape, slots: int) -> Quantity:
    """Return the size of the logits of the last token of every slot, plus an embedding vector if the model pools."""
    return exact(_FLOAT * (shape.vocab + (shape.embd if shape.pools else 0)) * slots, "vocabulary x slots")


def _masks(shape: ModelShape, settings: ServingSettings) -> int:
    """Return the bytes of the attention masks: one of the full context and one of the window, if layers use them."""
    found = cache_cells(settings)
    windows = {layer.window for layer in shape.layers if layer.kv_heads}
    places = found.each if 0 in windows else 0
    places += max((window_cells(window, settings) for window in windows if window), default=0)
    return places * found.ubatch * (_MASK if settings.flash_attention else _FLOAT)


def _most_heads(shape: ModelShape) -> int:
    return max((layer.heads for layer in shape.layers if layer.kv_heads), default=0)


# ---- the graph of a batch ---------------------------------------------------------------------------


# Architectures whose graphs were compared with llama.cpp logs; ``_ALIKE`` are built by the same llama.cpp code.
COMPARED: Final = frozenset(
    (
        "llama", "mistral3", "smollm3", "granite", "internlm2", "seed_oss", "exaone", "minicpm", "phi3", "ernie4_5",
        "hunyuan-dense", "qwen2", "qwen2vl", "qwen2moe", "qwen3", "qwen3moe", "qwen3next", "qwen35", "qwen35moe",
        "gemma", "gemma2", "gemma3", "gemma4", "gpt-oss", "glm4moe", "deepseek2", "mamba",
    )
)  # fmt: skip
_ALIKE: Final = frozenset(
    (
        "llama-embed", "arcee", "qwen3vl", "qwen3vlmoe", "olmo2", "olmoe", "ernie4_5-moe", "xverse", "orion",
        "baichuan", "maincoder",
    )
)  # fmt: skip
_MOST_LAYERS: Final = 14  # the allocation pattern repeats after a few layers
# The norm after attention precedes the feed-forward block; other architectures apply it to attention's output.
_NORM_BEFORE_FF: Final = frozenset(("gpt-oss", "qwen3next", "qwen35", "qwen35moe"))
# Rows of tokens without output are dropped after the last layer, not inside it.
_ROWS_AFTER: Final = frozenset(("gpt-oss", "qwen3next", "qwen35", "qwen35moe", "gemma4"))


def compute_graph(shape: ModelShape, settings: ServingSettings, align: int = 32) -> TensorGraph | None:
    """Return the graph of one full batch over a full cache, as ``sched_reserve`` builds it.

    Returns None if the architecture's graph is not known. ``align``: alignment of the buffer in bytes.
    """
    is_known = shape.architecture in (COMPARED | _ALIKE) and shape.memorizing != "unknown"
    if not is_known or shape.format != "gguf" or not shape.layers:
        return None
    try:
        return _Builder(shape, settings, align).build()
    except (KeyError, IndexError, ValueError, ZeroDivisionError):
        return None  # a layer lacks a tensor or dimensions that its architecture normally has


_FOUR_POSITIONS: Final = frozenset(("qwen2vl", "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe"))  # time, height, width


def is_validated(shape: ModelShape) -> bool:
    """Return whether the architecture's graph was compared with llama.cpp logs.

    For Gemma 4 only models without experts and per-layer embeddings were.
    """
    is_compared = shape.architecture in COMPARED
    return is_compared and not (shape.architecture == "gemma4" and (shape.experts or shape.per_layer_embeddings))


class _Builder:
    def __init__(self, shape: ModelShape, settings: ServingSettings, align: int) -> None:
        self.shape, self.settings = shape, settings
        self.cells = cache_cells(settings)
        slots = settings.slots
        self.tokens = -(-min(self.cells.context, self.cells.ubatch) // slots) * slots
        self.outputs = min(self.tokens, slots)
        self.graph = TensorGraph(align)
        self.flash = settings.flash_attention
        self.masks: dict[bool, int] = {}
        self.places: dict[bool, tuple[int, int]] = {}
        self.turns: dict[bool, tuple[int, int]] = {}
        self.positions = self.copied = self.beside = EXTERNAL

    def build(self) -> TensorGraph:
        g, shape = self.graph, self.shape
        layers = _representative_layers(shape.layers)
        current = self._build_inputs()
        if shape.architecture.startswith("gemma"):
            current = g.op(g.dims(current), current, over=True)
        self._inputs(layers)
        rows = g.leaf(self.outputs)
        for index, layer in enumerate(layers):
            last = index == len(layers) - 1 and shape.architecture not in _ROWS_AFTER
            current = self._layer(layer, current, rows if last else EXTERNAL)
            if index < shape.embd_in // shape.embd - 1:  # image embeddings that are added in later layers
                current = g.op(g.dims(current), current, g.view(self.beside), over=True)
        if shape.architecture == "gpt-oss":
            g.keep(current)
        current = self._build_head(current, rows) if shape.architecture in _ROWS_AFTER else self._norm(current)
        g.keep(current)
        logits = g.op((shape.vocab, self.outputs), current)
        g.keep(logits)
        g.expand(logits)
        return g

    def _build_inputs(self) -> int:
        """Build the token embeddings, and allocate the inputs for given embeddings and for a batch with both."""
        g, narrow = self.graph, (self.shape.embd, self.tokens)
        wide = (self.shape.embd_in or self.shape.embd, self.tokens)

        def embed_tokens(words: int) -> int:
            found = g.on_host(g.op(narrow, words))
            return found if wide == narrow else g.op(wide, found)

        current = embed_tokens(g.leaf(self.tokens))
        embeddings = g.leaf(*wide)
        rows = embed_tokens(g.leaf(self.tokens))
        places = g.leaf(self.tokens, width=8)
        copied = g.op(wide, g.leaf(*wide))
        for tensor in (current, embeddings, g.write(copied, rows, places)):
            g.expand(tensor)
        self.beside = EXTERNAL if wide == narrow else current
        return current if wide == narrow else g.view(current, *narrow)

    def _build_head(self, current: int, rows: int) -> int:
        g = self.graph
        if self.shape.architecture == "gpt-oss":
            return self._norm(g.op((self.shape.embd, self.outputs), current, rows))
        current = self._norm(current)
        g.keep(current)
        return g.op((self.shape.embd, self.outputs), current, rows)

    def _inputs(self, layers: tuple[Layer, ...]) -> None:
        """Create the masks, cache indices and positions. They are computed when a layer first uses them."""
        g, streams = self.graph, self.cells.streams
        for window in dict.fromkeys(bool(layer.window) for layer in layers if layer.kv_heads):
            layer = next(each for each in layers if each.kv_heads and bool(each.window) == window)
            cells = window_cells(layer.window, self.settings) if window else self.cells.each
            width = 2 if self.flash else 4
            self.masks[window] = g.leaf(cells, self.tokens // streams, 1, streams, width=width)
            values = 1 if self.flash else max(each.kv_heads * each.value for each in self.shape.layers)
            self.places[window] = (g.leaf(self.tokens, width=8), g.leaf(self.tokens * values, width=8))
            self.turns[window] = self._rotation_sizes(layer, window)
        if any(layer.recurrent for layer in layers):
            self.copied = g.leaf(self.settings.slots)
        if any(layer.kv_heads for layer in layers):
            self.positions = g.leaf(self.tokens * (4 if self.shape.architecture in _FOUR_POSITIONS else 1))

    def _rotation_sizes(self, layer: Layer, window: bool) -> tuple[int, int]:
        """Return the rotation matrices applied to keys and values before they are quantized; EXTERNAL for none."""
        same = len({each.key for each in self.shape.layers if each.kv_heads and bool(each.window) == window}) == 1

        def matrix(kind: str, length: int, most: int) -> int:
            if not is_quantized(kind) or length % 64 or not same or not layer.values:
                return EXTERNAL
            size = 64
            while length % (2 * size) == 0 and 2 * size <= most:
                size *= 2
            return self.graph.leaf(size, size)

        return matrix(self.settings.type_k, layer.key, 1 << 20), matrix(self.settings.type_v, layer.value, 64)

    # ---- a layer ---------------------------------------------------------------------------------------

    def _layer(self, layer: Layer, entered: int, rows: int) -> int:
        g, has = self.graph, dict(layer.tensors)
        current = self._norm(entered)
        if "ssm_x" in has:
            current = self._build_mamba(layer, has, current)
        elif layer.recurrent:
            g.expand(current)
            current = self._delta(layer, has, current)
        elif "attn_kv_a_mqa" in has:
            current = self._latent(layer, has, current)
        else:
            if self.shape.architecture in _NORM_BEFORE_FF and self.shape.architecture != "gpt-oss":
                g.expand(current)
            current = self._attention(layer, has, current)
        if rows != EXTERNAL:
            current = g.op((self.shape.embd, self.outputs), current, rows)
            entered = g.op((self.shape.embd, self.outputs), entered, rows)
        if "ssm_x" in has:
            return g.op(g.dims(entered), current, entered, over=True)
        if "post_attention_norm" in has and self.shape.architecture not in _NORM_BEFORE_FF:
            current = self._norm(current)
        middle = g.op(g.dims(entered), current, entered, over=True)
        current = self._feed_forward(has, self._norm(middle))
        if "post_ffw_norm" in has:
            current = self._norm(current)
        return g.op(g.dims(middle), current, middle, over=True)

    def _norm(self, source: int, dims: tuple[int, ...] | None = None) -> int:
        dims = self.graph.dims(source) if dims is None else dims
        return self.graph.op(dims, self.graph.op(dims, source, over=True), over=True)

    def _matrix(self, width: int, source: int, biased: bool = False) -> int:
        tokens = self.graph.dims(source)[-1] if len(self.graph.dims(source)) > 1 else self.tokens
        found = self.graph.op((width, tokens), source)
        return self.graph.op((width, tokens), found, over=True) if biased else found

    def _attention(self, layer: Layer, has: Mapping[str, tuple[int, ...]], source: int) -> int:
        g, window = self.graph, bool(layer.window)
        queries = layer.heads * layer.key
        gated = has.get("attn_q", (0, 0))[1] == 2 * queries
        if "attn_qkv" in has:
            together = self._matrix(
                queries + layer.kv_heads * (layer.key + layer.value), source, "attn_qkv.bias" in has
            )
            query = key = value = together
        else:
            query = self._matrix(queries * (2 if gated else 1), source, "attn_q.bias" in has)
            key = self._matrix(layer.kv_heads * layer.key, source, "attn_k.bias" in has)
            value = self._matrix(layer.kv_heads * layer.value, source, "attn_v.bias" in has) if "attn_v" in has else key
        gate = g.view(query) if gated else EXTERNAL
        query = self._norm_and_rotate(g.view(query), (layer.key, layer.heads, self.tokens), "attn_q_norm" in has)
        key = self._norm_and_rotate(g.view(key), (layer.key, layer.kv_heads, self.tokens), "attn_k_norm" in has)
        value = g.view(value)
        if self.shape.architecture == "gemma4":
            value = g.op((layer.value, layer.kv_heads, self.tokens), value, over=True)
        if self.shape.architecture == "gemma3":
            query = g.op(g.dims(query), query, over=True)
        turn_key, turn_value = self.turns[window]
        if turn_key != EXTERNAL:
            query, key = (
                self._multiply_by(query, turn_key, layer.heads * layer.key),
                self._multiply_by(key, turn_key, layer.kv_heads * layer.key),
            )
        if turn_value != EXTERNAL:
            value = self._multiply_by(value, turn_value, layer.kv_heads * layer.value)
        for tensor in (query, key, value) if self._has_window() else (query, value, key):
            g.expand(tensor)
        place_key, place_value = self.places[window]
        g.expand(g.store(g.view(key), place_key))
        g.expand(g.store(g.view(value), place_value))
        current = self._build_attention(layer, query, layer.value, EXTERNAL)
        if turn_value != EXTERNAL:
            current = self._multiply_by(current, turn_value, layer.heads * layer.value)
        if gated:
            gate = g.op((queries, self.tokens), gate)
            gate = g.op((queries, self.tokens), gate, over=True)
            current = g.op((queries, self.tokens), current, gate, over=True)
        return self._matrix(self.shape.embd, current, "attn_output.bias" in has)

    def _has_window(self) -> bool:
        return any(layer.window for layer in self.shape.layers)

    def _norm_and_rotate(self, source: int, dims: tuple[int, ...], norm: bool) -> int:
        """Apply the norm, if the layer has one, and then the rotary position embedding."""
        if norm:
            source = self._norm(source, dims)
        return self.graph.op(dims, source, self.positions, over=True)

    def _multiply_by(self, source: int, matrix: int, numbers: int) -> int:
        g = self.graph
        size = g.dims(matrix)[0]
        return g.view(g.op((size, numbers // size * self.tokens), matrix, g.view(source)))

    def _build_attention(self, layer: Layer, query: int, width: int, after: int) -> int:
        """Build the attention of ``build_attn_mha``.

        ``after``: width that latent attention expands its output to, EXTERNAL for none.
        """
        g, window, streams = self.graph, bool(layer.window), self.cells.streams
        each, tokens = self.tokens // streams, self.tokens
        query = g.view(g.view(query))
        if self.flash:
            current = g.op((width, layer.heads, each, streams), query, self.masks[window])
            if after != EXTERNAL:
                current = g.view(g.op((after, each, layer.heads, streams), g.view(current)))
                current = g.op((after, layer.heads, each, streams), current)
            current = g.view(current)
        else:
            cells = window_cells(layer.window, self.settings) if window else self.cells.each
            scores = g.op((cells, each, layer.heads, streams), query)
            scores = g.op((cells, each, layer.heads, streams), scores, self.masks[window], over=True)
            current = g.op((width, each, layer.heads, streams), scores)
            if after != EXTERNAL:
                current = g.op((after, each, layer.heads, streams), current)
            width = width if after == EXTERNAL else after
            current = g.op((width * layer.heads, tokens), g.view(current))
        g.expand(current)
        return current

    def _latent(self, layer: Layer, has: Mapping[str, tuple[int, ...]], source: int) -> int:
        """Build the latent attention of DeepSeek: one vector holds the keys and values of all heads."""
        g, tokens, heads = self.graph, self.tokens, layer.heads
        latent, value = has["attn_v_b"][0], has["attn_v_b"][1]
        plain = has["attn_k_b"][0]
        rotated_size = layer.key - latent
        if "attn_q_a" in has:
            query = self._matrix(heads * (plain + rotated_size), self._norm(self._matrix(has["attn_q_a"][1], source)))
        else:
            query = self._matrix(heads * (plain + rotated_size), source)
        query = g.view(query)
        pressed = self._matrix(latent + rotated_size, source)
        small, key = g.view(pressed), g.view(pressed)
        key = g.op((rotated_size, 1, tokens), key, self.positions, over=True)
        small = self._norm(small, (latent, tokens))
        turned_query = g.op((rotated_size, heads, tokens), g.view(query), self.positions, over=True)
        absorbed = g.view(g.op((latent, tokens, heads), g.view(g.view(query))))
        query = g.op((latent + rotated_size, heads, tokens), absorbed, turned_query)
        small = g.view(small)
        key = g.op((latent + rotated_size, 1, tokens), small, key)
        for tensor in (query, small, key):
            g.expand(tensor)
        g.expand(g.store(g.view(key), self.places[False][0]))
        return self._matrix(self.shape.embd, self._build_attention(layer, query, latent, value))

    # ---- recurrent layers --------------------------------------------------------------------------------

    def _state(self, numbers: int) -> int:
        """Read the recurrent states of all slots from the cache, as ``build_rs`` does."""
        g = self.graph
        main, extra = g.view(self.copied), g.view(self.copied)
        states = g.op((numbers, self.settings.slots), main)
        g.expand(states)
        g.expand(g.store(g.op((numbers, 0), extra)))
        return states

    def _convolve(self, layer: Layer, taps: int, source: int) -> int:
        """Return the convolution state joined with the new tokens, and store its last columns."""
        g, slots = self.graph, self.settings.slots
        width = layer.conv // (taps - 1)
        state = g.view(self._state(layer.conv))
        joined = g.op((taps - 1 + self.tokens // slots, width, slots), state, g.view(source))
        g.expand(g.store(g.view(joined)))
        return joined

    def _build_mamba(self, layer: Layer, has: Mapping[str, tuple[int, ...]], source: int) -> int:
        """Build a Mamba layer."""
        g, tokens, slots = self.graph, self.tokens, self.settings.slots
        taps, inner = has["ssm_conv1d"]
        state, rank = has["ssm_a"][0], has["ssm_dt"][0]
        conv = g.view(self._state(layer.conv))
        both = g.op((2 * inner, tokens // slots, slots), g.view(source))
        x, z = g.view(both), g.view(both)
        joined = g.op((taps - 1 + tokens // slots, inner, slots), conv, g.view(x))
        g.expand(g.store(g.view(joined)))
        wide = (inner, tokens // slots, slots)
        x = g.op(wide, joined)
        x = g.op(wide, g.op(wide, x, over=True), over=True)
        parts = g.op((rank + 2 * state, tokens // slots, slots), x)
        step = g.op((rank, tokens // slots, slots), g.view(parts))
        step = g.op(wide, g.op(wide, step), over=True)
        main, extra = g.view(self.copied), g.view(self.copied)
        scanned = g.op((inner * tokens + state * inner * slots,), g.view(x), step, g.view(parts), g.view(parts), main)
        g.expand(scanned)
        g.expand(g.store(g.op((state * inner, 0), extra)))
        g.expand(g.store(g.view(scanned)))
        y = g.op(wide, g.view(scanned), g.op(wide, x, over=True), over=True)
        y = g.op(wide, g.op(wide, z), y)
        return g.view(g.op((self.shape.embd, tokens // slots, slots), y))

    def _delta(self, layer: Layer, has: Mapping[str, tuple[int, ...]], source: int) -> int:
        """Build the gated delta net of Qwen3-Next."""
        g, tokens, slots = self.graph, self.tokens, self.settings.slots
        each = tokens // slots
        taps, width = has["ssm_conv1d"]
        head = has["ssm_norm"][0]
        heads = has["ssm_out"][0] // head
        groups = (width - heads * head) // (2 * head)
        mixed = g.view(self._matrix(width, source))
        z = self._matrix(heads * head, source)
        if "ssm_beta" in has:
            beta = g.op((1, heads, each, slots), g.view(self._matrix(heads, source)), over=True)
            decay = g.view(self._matrix(heads, source))
        else:
            pair = g.view(self._matrix(2 * heads, source))
            b, a = g.view(pair), g.view(pair)
            b = g.op((heads // groups, groups, each, slots), b)
            beta = g.view(g.op((heads // groups, groups, each, slots), b, over=True))
            decay = g.op((heads, each, slots), a)
        for _ in range(3):
            decay = g.op((heads, each, slots), decay, over=True)
        decay = g.view(decay)
        joined = self._convolve(layer, taps, mixed)
        state = g.view(self._state(layer.state))
        wide = (width, each, slots)
        mix = g.op(wide, g.op(wide, joined), over=True)
        narrow = (head, groups, each, slots)
        query = g.op(narrow, g.op(narrow, g.view(mix), over=True), over=True)
        key = g.op(narrow, g.op(narrow, g.view(mix), over=True), over=True)
        value = g.view(mix)
        if groups != heads and "ssm_beta" not in has:
            repeated = (head, heads // groups, groups, tokens)
            query, key = (g.view(g.op(repeated, g.view(tensor))) for tensor in (query, key))
        result = g.op((head * heads, tokens + head * slots), query, key, value, decay, beta, state)
        output, new = g.view(result), g.view(result)
        g.expand(g.store(new))
        full = (head, heads, each, slots)
        normed = self._norm(output, full)
        gate = g.op(full, g.view(z), over=True)
        current = g.view(g.op(full, normed, gate, over=True))
        return g.view(g.op((self.shape.embd, each, slots), current))

    # ---- feed-forward ------------------------------------------------------------------------------------

    def _feed_forward(self, has: Mapping[str, tuple[int, ...]], source: int) -> int:
        if "ffn_gate_inp" not in has:
            return self._dense(has, source, "")
        current = self._mixture(has, source)
        if "ffn_up_shexp" not in has:
            return current
        g = self.graph
        shared = self._dense(has, source, "_shexp")
        if "ffn_gate_inp_shexp" in has:
            tokens = g.dims(source)[-1] if len(g.dims(source)) > 1 else 1
            gate = g.op((1, tokens), source)
            gate = g.op((1, tokens), gate, over=True)
            shared = g.op(g.dims(shared), shared, gate, over=True)
        return g.op(g.dims(current), current, shared, over=True)

    def _dense(self, has: Mapping[str, tuple[int, ...]], source: int, kind: str) -> int:
        g = self.graph
        up = self._matrix(has[f"ffn_up{kind}"][1], source, f"ffn_up{kind}.bias" in has)
        if f"ffn_gate{kind}" in has:
            gate = self._matrix(has[f"ffn_gate{kind}"][1], source, f"ffn_gate{kind}.bias" in has)
            inner = g.op(g.dims(up), gate, up)
        elif has[f"ffn_down{kind}"][0] * 2 == has[f"ffn_up{kind}"][1]:
            inner = g.op((has[f"ffn_down{kind}"][0], *g.dims(up)[1:]), up)
        else:
            inner = g.op(g.dims(up), up, over=True)
        return self._matrix(self.shape.embd, inner, f"ffn_down{kind}.bias" in has)

    def _mixture(self, has: Mapping[str, tuple[int, ...]], source: int) -> int:
        g, shape = self.graph, self.shape
        tokens = g.dims(source)[-1] if len(g.dims(source)) > 1 else 1
        experts, used = shape.experts, shape.experts_used
        late = shape.architecture == "gpt-oss"
        chosen_experts = g.op((experts, tokens), source)
        if "ffn_gate_inp.bias" in has:
            chosen_experts = g.op((experts, tokens), chosen_experts, over=True)
        probable = chosen_experts if late else g.op((experts, tokens), chosen_experts, over=True)
        ranked = g.op((experts, tokens), probable, over=True) if "exp_probs_b.bias" in has else probable
        picked = g.view(g.op((experts, tokens), ranked))
        weights = g.op((1, used, tokens), g.view(probable), picked)
        if late:
            weights = g.view(g.op((used, tokens), g.view(weights), over=True))
        elif shape.architecture != "deepseek2":
            flat = g.view(weights)
            summed = g.op((1, tokens), g.op((1, tokens), flat), over=True)
            weights = g.view(g.op((used, tokens), flat, summed, over=True))
        g.expand(weights)
        source = g.view(source)
        inner = has["ffn_down_exps"][0]
        wide = (inner, used, tokens)
        if "ffn_gate_up_exps" in has:
            both = g.op((2 * inner, used, tokens), source, picked)
            gate, up = g.view(both), g.view(both)
        else:
            up = g.op(wide, source, picked)
            if "ffn_up_exps.bias" in has:
                up = g.op(wide, up, picked, over=True)
            gate = g.op(wide, source, picked)
            if "ffn_gate_exps.bias" in has:
                gate = g.op(wide, gate, picked, over=True)
        output = g.op((shape.embd, used, tokens), g.op(wide, gate, up), picked)
        if "ffn_down_exps.bias" in has:
            output = g.op(g.dims(output), output, picked, over=True)
        output = g.op((shape.embd, used, tokens), output, weights, over=True)
        g.expand(output)
        views = [g.view(output) for _ in range(used)]
        for view in views:
            g.expand(view)
        summed = views[0]
        for view in views[1:]:
            summed = g.op((shape.embd, tokens), summed, view, over=True)
            g.expand(summed)
        return g.op((shape.embd, tokens), summed) if used == 1 else summed


def _representative_layers(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    return layers if len(layers) <= _MOST_LAYERS + 2 else (*layers[:_MOST_LAYERS], *layers[-2:])


# ---- the allocator ----------------------------------------------------------------------------------


EXTERNAL: Final = -1  # weights, caches and their views, which are allocated elsewhere
_ENDLESS: Final = 1 << 62


class TensorGraph:
    """Tensors in the order in which a program builds them; ``expand`` decides when each is computed.

    A tensor is identified by its index. ``align``: alignment of tensors in bytes.
    """

    def __init__(self, align: int = 32) -> None:
        self._align = align
        self._sizes: list[int] = []
        self._dims: list[tuple[int, ...]] = []
        self._sources: list[tuple[int, ...]] = []
        self._roots: list[int] = []  # the base of a view, otherwise the tensor itself
        self._over: list[bool] = []  # whether the result may reuse the memory of an input
        self._outputs: set[int] = set()
        self._host: set[int] = set()
        self._scheduled: set[int] = set()
        self._leafs: list[int] = []
        self._order: list[int] = []

    def leaf(self, *dims: int, width: int = 4) -> int:
        """Add an input with dimensions ``dims`` and elements of ``width`` bytes."""
        return self._add(dims, width, (), root=None, over=False)

    def op(self, dims: tuple[int, ...], *sources: int, over: bool = False, width: int = 4) -> int:
        """Add the result of an operation. ``over``: it may reuse the memory of a source with the same dimensions."""
        return self._add(dims, width, sources, root=None, over=over)

    def view(self, source: int, *dims: int) -> int:
        """Add a view of ``source``. ``dims``: dimensions of the view, if later operations need them."""
        return EXTERNAL if source == EXTERNAL else self._add(dims, 0, (source,), root=self._roots[source], over=False)

    def write(self, into: int, *sources: int) -> int:
        """Add ``into`` as it is after some of its rows were overwritten."""
        return self._add((), 0, (*sources, into), root=self._roots[into], over=False)

    def store(self, *sources: int) -> int:
        """Add a result that is written to the cache and takes no space in this buffer."""
        return self._add((), 0, sources, root=EXTERNAL, over=False)

    def keep(self, tensor: int) -> None:
        """Mark ``tensor`` as an output, which is never freed."""
        self._outputs.add(tensor)

    def dims(self, tensor: int) -> tuple[int, ...]:
        return self._dims[tensor]

    def expand(self, tensor: int) -> None:
        """Schedule ``tensor`` for computation here, after all inputs that are not yet scheduled, left to right."""
        waiting = [(tensor, 0)]
        while waiting:
            node, index = waiting.pop()
            if index == 0:
                if node in self._scheduled:
                    continue
                self._scheduled.add(node)
            sources = self._sources[node]
            while index < len(sources) and (sources[index] == EXTERNAL or sources[index] in self._scheduled):
                index += 1
            if index < len(sources):
                waiting.append((node, index + 1))
                waiting.append((sources[index], 0))
            elif sources:
                self._order.append(node)
            else:
                self._leafs.append(node)

    def on_host(self, tensor: int) -> int:
        """Mark a result that is computed on the host even if everything else is on the GPU."""
        self._host.add(tensor)
        return tensor

    def size(self) -> int:
        """Return the buffer size in bytes if everything is computed on one device."""
        return self._layout(self._leafs, self._order)

    def host_size(self) -> int:
        """Return the bytes on the host if the rest is on the GPU: all inputs, and the results computed on the host."""
        host_results = [node for node in self._order if node in self._host]
        return sum(self._aligned_size(node) for node in (*self._leafs, *host_results))

    def device_size(self) -> int:
        """Return the bytes on the GPU, including copies of the inputs that it uses."""
        order = [node for node in self._order if node not in self._host]
        used = dict.fromkeys(source for node in order for source in self._sources[node] if source != EXTERNAL)
        copies = [node for node in used if node in self._host or not self._sources[node]]
        return self._layout(copies, order)

    def _layout(self, first: list[int], order: list[int]) -> int:
        sizes = [self._aligned_size(node) for node in range(len(self._sizes))]
        return _Layout(sizes, self._dims, self._sources, self._roots, self._over).allocate(first, order, self._outputs)

    def _aligned_size(self, tensor: int) -> int:
        return -(-self._sizes[tensor] // self._align) * self._align

    def _add(self, dims: tuple[int, ...], width: int, sources: tuple[int, ...], *, root: int | None, over: bool) -> int:
        index = len(self._sizes)
        self._sizes.append(prod(dims) * width if dims else 0)
        while dims and dims[-1] == 1:
            dims = dims[:-1]
        self._dims.append(dims)
        self._sources.append(sources)
        self._roots.append(index if root is None else root)
        self._over.append(over)
        return index


class _Layout:
    """One run of the allocator over a graph."""

    def __init__(
        self,
        sizes: list[int],
        dims: list[tuple[int, ...]],
        sources: list[tuple[int, ...]],
        roots: list[int],
        over: list[bool],
    ) -> None:
        self._sizes, self._dims, self._sources, self._roots, self._over = sizes, dims, sources, roots, over
        self._children = [0] * len(sizes)
        self._views = [0] * len(sizes)
        self._places: dict[int, int] = {}
        self._gaps: list[list[int]] = [[0, _ENDLESS]]  # [offset, size], by offset
        self._most = 0
        self._outputs: set[int] = set()

    def allocate(self, leafs: list[int], order: list[int], outputs: set[int]) -> int:
        self._outputs = outputs
        for leaf in leafs:
            self._place_node(leaf)
        for node in order:
            root = self._roots[node]
            if root not in (node, EXTERNAL):
                self._views[root] += 1
            for source in self._sources[node]:
                if source != EXTERNAL:
                    self._children[source] += 1
        for node in order:
            if self._roots[node] == node:
                self._place_node(node)
            for source in self._sources[node]:
                if source != EXTERNAL:
                    self._release_use(source)
        return self._most

    def _place_node(self, node: int) -> None:
        if self._over[node]:
            for source in self._sources[node]:
                if self._is_reusable(source, node):
                    self._places[node] = self._places.pop(source)
                    return
        self._places[node] = self._take_block(self._sizes[node])

    def _is_reusable(self, source: int, node: int) -> bool:
        """Return whether a result may reuse the memory of ``source``. A view owns no memory that could be reused."""
        return (
            source in self._places
            and source not in self._outputs
            and self._dims[source] == self._dims[node]
            and self._children[source] == 1
            and self._views[source] == 0
        )

    def _release_use(self, source: int) -> None:
        self._children[source] -= 1
        if self._children[source] or self._views[source]:
            return
        root = self._roots[source]
        if root == EXTERNAL:
            return
        if root != source:
            self._views[root] -= 1
            if self._views[root] or self._children[root]:
                return
        if root in self._places and root not in self._outputs:
            self._give(self._places.pop(root), self._sizes[root])

    def _take_block(self, size: int) -> int:
        gaps = self._gaps
        best, fit = len(gaps) - 1, _ENDLESS
        for index in range(len(gaps) - 1):
            if size <= gaps[index][1] <= fit:
                best, fit = index, gaps[index][1]
        gap = gaps[best]
        offset = gap[0]
        gap[0] += size
        gap[1] -= size
        if gap[1] == 0:
            del gaps[best]
        self._most = max(self._most, offset + size)
        return offset

    def _give(self, offset: int, size: int) -> None:
        gaps = self._gaps
        for index, gap in enumerate(gaps):
            if gap[0] + gap[1] == offset:
                gap[1] += size
                if index + 1 < len(gaps) and gap[0] + gap[1] == gaps[index + 1][0]:
                    gap[1] += gaps[index + 1][1]
                    del gaps[index + 1]
                return
            if offset + size == gap[0]:
                gap[0] = offset
                gap[1] += size
                if index and gaps[index - 1][0] + gaps[index - 1][1] == offset:
                    gaps[index - 1][1] += gap[1]
                    del gaps[index]
                return
        position = next((index for index, gap in enumerate(gaps) if gap[0] >= offset), len(gaps))
        gaps.insert(position, [offset, size])
