"""The shape of a model, and the settings under which it is served: what the formulas of memory and speed take.

A shape is the same whatever file it was read from.
"""

from __future__ import annotations

from typing import Final, Literal

from intermodal.content import Value

_Format = Literal["gguf", "safetensors"]
_Role = Literal["model", "projector"]

# How a model remembers: keys and values of every token, a state of fixed size, both, or nothing between calls.
Memorizing = Literal["attention", "recurrent", "hybrid", "none", "unknown"]


class Layer(Value, gc=False):
    """One repeating layer.

    Attributes:
        heads: query heads. kv_heads: heads of keys and values, 0 where the layer has none.
        key, value: numbers in one head's key and value. window: tokens it looks back on, 0 for all.
        cached: whether it keeps keys and values of its own (not those of an earlier layer). values: whether it keeps
            values besides keys (latent attention does not).
        conv, state: numbers (of 4 bytes) of its two recurrent states, a sequence.
        ff: width of its feed-forward part, dense or of all experts that answer one token together.
        weights: bytes of all its tensors. experts: bytes of those that are routed experts.
        tensors: their names in the layer (without ``.weight``) and dimensions, innermost first.
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
    """A part that makes pictures or sound into tokens, as its projector file describes it.

    ``patches``: the most patches that its attention sees at once, 0 if the file does not state it.
    """

    kind: Literal["vision", "audio"]
    projector: str = ""
    layers: int = 0
    embd: int = 0
    heads: int = 0
    ff: int = 0
    patches: int = 0


class ModelShape(Value):
    """The composition of one model. Sizes are bytes and exact: sums over the tensor index.

    Attributes:
        name: for people. format: of the files. role: a model, or a projector beside one.
        architecture: as in the file. memorizing: its kind of cache; "unknown" if intermodal does not know it.
        layers: the repeating layers, in order. extra_layers: further ones that only speculative decoding uses.
        embd, ff, vocab: widths. context: tokens it was trained for, None if the file does not state it.
        experts, experts_used, expert_ff: of a mixture of experts; 0 if there are none.
        embd_in: width of the input of the first layer, if it is not ``embd``: vectors for later layers come with it.
        index_key: numbers of the key that an index of a sparse attention keeps a token and layer, 0 without one.
        embeddings, output: bytes of the token table and of the output matrix (0: tied, the table is used for both).
        per_layer_embeddings: bytes of a table that is looked up and never multiplied. rest: bytes of everything else
            that is in no layer.
        parameters: numbers in all tensors. active: of those, the ones that one token is multiplied with.
        types: bytes a tensor type, largest first.
        encoders: of a projector. pools: it makes vectors, not words.
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
        """Bytes of all tensors."""
        layers = sum(layer.weights for layer in (*self.layers, *self.extra_layers))
        return layers + self.embeddings + self.output + self.per_layer_embeddings + self.rest

    @property
    def tied(self) -> bool:
        """Return whether the token table is the output matrix too."""
        return self.output == 0 and self.embeddings > 0

    @property
    def routed(self) -> int:
        """Bytes of routed experts."""
        return sum(layer.experts for layer in self.layers)

    @property
    def active_weights(self) -> float:
        """Bytes read for one token: all layers, of routed experts only those that are asked, and the output."""
        used = self.experts_used / self.experts if self.experts else 0.0
        layers = sum(layer.weights - layer.experts + layer.experts * used for layer in self.layers)
        return layers + (self.output or self.embeddings) + self.rest


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
