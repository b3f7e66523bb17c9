"""The shape of a model and its serving settings: the inputs of the memory and speed formulas.

A shape is independent of the file format it was read from.
"""

from __future__ import annotations

from typing import Final, Literal

from intermodal.core.content import Value

_Format = Literal["gguf", "safetensors"]
_Role = Literal["model", "projector"]

# What a model keeps between tokens: keys and values, a state of fixed size, both, or nothing.
Memorizing = Literal["attention", "recurrent", "hybrid", "none", "unknown"]


class Layer(Value, gc=False):
    """One transformer or recurrent layer.

    Attributes:
        heads: query heads. kv_heads: key/value heads, 0 if the layer has no attention.
        key, value: length of one head's key and value. window: sliding window in tokens, 0 for full attention.
        cached: whether it keeps its own keys and values instead of using those of an earlier layer. values: whether it
            keeps values besides keys (latent attention does not).
        conv, state: number of 4-byte values in its two recurrent states, per sequence.
        ff: width of its feed-forward block, dense or of all experts active for one token together.
        weights: bytes of all its tensors. experts: bytes of its routed experts.
        tensors: names within the layer (without ``.weight``) and dimensions, innermost first.
    """

    heads: int = 0
    kv_heads: int = 0
    key: int = 0
    value: int = 0
    window: int = 0
    cached: bool = True
    values: bool = True
    conv: int = 0
    state: int = 0
    ff: int = 0
    weights: int = 0
    experts: int = 0
    tensors: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def recurrent(self) -> bool:
        return self.conv + self.state > 0


class EncoderShape(Value, gc=False):
    """An encoder that turns images or audio into tokens, as its projector file describes it.

    ``patches``: the most patches that its attention covers at once, 0 if the file does not state it.
    """

    kind: Literal["vision", "audio"]
    projector: str = ""
    layers: int = 0
    embd: int = 0
    heads: int = 0
    ff: int = 0
    patches: int = 0


class ModelShape(Value):
    """The shape of one model. Sizes are exact byte counts: sums over the tensor index.

    Attributes:
        name: for display. format: of the files. role: a model, or the projector of one.
        architecture: as in the file. memorizing: kind of cache; "unknown" if the architecture is not known.
        layers: the layers in order. extra_layers: further layers that only speculative decoding uses.
        embd, ff, vocab: widths. context: tokens it was trained for, None if the file does not state it.
        experts, experts_used, expert_ff: of a mixture of experts; 0 for a dense model.
        embd_in: input width of the first layer if it is not ``embd``: it then includes embeddings for later layers.
        index_key: length of the key that the index of sparse attention keeps per token and layer, 0 without an index.
        embeddings, output: bytes of the token embeddings and of the output matrix (0: tied to the token embeddings).
        per_layer_embeddings: bytes of a table that is looked up and never multiplied. rest: bytes of all other tensors
            outside of layers.
        parameters: number of values in all tensors. active: how many of them are multiplied for one token.
        types: bytes per tensor type, largest first.
        encoders: of a projector. pools: whether it returns embeddings instead of text.
        problems: facts about the file that are not understood, each a clause; formulas that depend on them give ranges.
    """

    name: str = ""
    format: _Format = "gguf"
    role: _Role = "model"
    architecture: str = ""
    memorizing: Memorizing = "attention"
    layers: tuple[Layer, ...] = ()
    extra_layers: tuple[Layer, ...] = ()
    embd: int = 0
    ff: int = 0
    vocab: int = 0
    context: int | None = None
    experts: int = 0
    experts_used: int = 0
    expert_ff: int = 0
    embd_in: int = 0
    index_key: int = 0
    embeddings: int = 0
    output: int = 0
    per_layer_embeddings: int = 0
    rest: int = 0
    parameters: int = 0
    active: int = 0
    types: tuple[tuple[str, int], ...] = ()
    encoders: tuple[EncoderShape, ...] = ()
    pools: bool = False
    problems: tuple[str, ...] = ()

    @property
    def weights(self) -> int:
        """Return the bytes of all tensors."""
        layers = sum(layer.weights for layer in (*self.layers, *self.extra_layers))
        return layers + self.embeddings + self.output + self.per_layer_embeddings + self.rest

    @property
    def has_tied_embeddings(self) -> bool:
        """Return whether the token embeddings also serve as output matrix."""
        return self.output == 0 and self.embeddings > 0

    @property
    def routed(self) -> int:
        """Return the bytes of all routed experts."""
        return sum(layer.experts for layer in self.layers)

    @property
    def active_weights(self) -> float:
        """Return the bytes read for one token: all layers with only the experts it uses, and the output matrix."""
        used = self.experts_used / self.experts if self.experts else 0.0
        layers = sum(layer.weights - layer.experts + layer.experts * used for layer in self.layers)
        return layers + (self.output or self.embeddings) + self.rest


ALL: Final = -1  # ``gpu_layers`` for all layers
Device = Literal["host", "device"]  # main memory, or GPU memory


class ServingSettings(Value):
    """How a model is served; defaults are llama-server's with one slot.

    Attributes:
        context: tokens of all slots together (``-c``). slots: concurrent sequences (``-np``). unified: slots share the
            cache (``--kv-unified``). batch, ubatch: tokens processed at once (``-b``, ``-ub``).
        type_k, type_v: cache types (``-ctk``, ``-ctv``). flash_attention: ``-fa``. swa_full: ``--swa-full``.
        gpu_layers: number of last layers on the GPU, the output matrix counting as one; -1 for all (``-ngl``).
        host_experts: number of first layers whose experts stay on the host (``--n-cpu-moe``).
        cache_on_host: ``--no-kv-offload``.
        projector: image or audio encoder (``--mmproj``). projector_on_host: ``--no-mmproj-offload``.
        draft: draft model for speculative decoding (``-md``). speculates: whether the model's extra layers are used.
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
