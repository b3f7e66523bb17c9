"""The memory layout that llama.cpp uses for each architecture: a table.

Source: llama.cpp of October 2026, ``load_arch_hparams`` in ``src/models/*.cpp``, ``llama_model::create_memory`` in
``src/llama-model.cpp``, ``llm_arch_is_recurrent`` and ``llm_arch_is_hybrid`` in ``src/llama-arch.cpp``.
"""

from __future__ import annotations

from typing import Final, Literal

from intermodal.content import Value

Recurring = Literal["", "all", "kv", "kv_ff", "interval", "beside"]


class SlidingWindow(Value, gc=False):
    """Which layers look back on a sliding window only.

    Attributes:
        every: of so many layers one looks back on everything; 0: none does. first: it is the first of them, else the
            last. size: tokens, where the file does not say. always: the file's own number is not used.
        needs: the file must say which layers (a list), else nothing is known.
        without: without a window in the file, there is none.
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
EXAONE4_LAYERS: Final = 64  # only this size of it has windows
EXAONE4: Final = SlidingWindow(every=4, size=4096)

# Which layers keep a recurrent state. all: every one; kv: those with 0 heads of keys and values; kv_ff: those without
# feed-forward width too; interval: all but every n-th; beside: every layer has both.
RECURRENT: Final[dict[str, Recurring]] = {
    "mamba": "all", "mamba2": "all", "rwkv6": "all", "rwkv6qwen2": "all", "rwkv7": "all", "arwkv7": "all",
    "jamba": "kv", "plamo2": "kv", "granitehybrid": "kv", "lfm2": "kv", "lfm2moe": "kv", "kimi-linear": "kv",
    "kimi-k3": "kv", "bailingmoe3": "kv", "nemotron_h": "kv_ff", "nemotron_h_moe": "kv_ff",
    "qwen3next": "interval", "qwen35": "interval", "qwen35moe": "interval", "minimax-01": "interval",
    "falcon-h1": "beside",
}  # fmt: skip
INTERVALS: Final[dict[str, int]] = {"minimax-01": 8}  # layers from one full attention to the next; else 4

# Nothing is kept between calls: they read a text once and give vectors, or diffuse.
WITHOUT_CACHE: Final = frozenset(
    (
        "bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "jina-bert-v3", "eurobert",
        "gemma-embedding", "wavtokenizer-dec", "t5encoder", "dream", "llada", "llada-moe", "rnd1",
    )
)  # fmt: skip
# Latent attention with an index of one key a token beside it.
INDEXED: Final = frozenset(("deepseek32", "glm-dsa"))
# Keys and values of every token in every layer, nothing else.
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
    """Whether its memory is understood."""
    return (
        architecture in PLAIN
        or architecture in WINDOWS
        or architecture in RECURRENT
        or architecture in WITHOUT_CACHE
        or architecture in INDEXED
    )
