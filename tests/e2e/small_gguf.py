"""A language model of a megabyte that llama.cpp loads: no sense in it, but a vocabulary, merges and a pre-tokenizer."""

from __future__ import annotations

import struct
from pathlib import Path

from intermodal.local.tokenizers.byte_pair import load_encoding, merge_byte_pairs

SIZE = 6_000  # tokens, the first of o200k_base
WIDTH, INNER = 32, 64
USER, CONTROL = ("<think>", "</think>"), ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def vocabulary() -> tuple[list[str], list[str]]:
    """Tokens as GGUF writes them, and merges, one in seventeen left out so that it matters who asks for them."""
    found = load_encoding("o200k_base")
    assert found is not None
    ranks = {token: rank for token, rank in found._ranks.items() if rank < SIZE}
    tokens = sorted(ranks, key=lambda token: ranks[token])
    merges = []
    for token in tokens:
        if len(token) > 1:
            parts = merge_byte_pairs(
                token, {known: rank for known, rank in _within(token, ranks).items() if rank < ranks[token]}
            )
            if len(parts) == 2:
                merges.append(f"{_written(tokens[parts[0]])} {_written(tokens[parts[1]])}")
    return [_written(token) for token in tokens], [pair for at, pair in enumerate(merges) if at % 17]


def _within(token: bytes, ranks: dict[bytes, int]) -> dict[bytes, int]:
    pieces = {token[at:end] for at in range(len(token)) for end in range(at + 1, len(token) + 1)}
    return {piece: ranks[piece] for piece in pieces if piece in ranks}


def _written(token: bytes) -> str:
    return "".join(_LETTERS[byte] for byte in token)


def _letters() -> dict[int, str]:
    """GPT-2's letters for bytes: the printable ones are themselves, the others follow from U+0100."""
    own = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in own]
    return {byte: chr(byte) for byte in own} | {byte: chr(256 + at) for at, byte in enumerate(others)}


_LETTERS = _letters()


def sentence_vocabulary(size: int = SIZE) -> list[str]:
    """Tokens as SentencePiece writes them: words with a blank before them, and single letters."""
    found = load_encoding("o200k_base")
    assert found is not None
    words: dict[str, None] = {}
    for data in sorted(found._ranks, key=lambda token: found._ranks[token])[: size * 2]:
        try:
            word = data.decode()
        except UnicodeDecodeError:
            continue
        if " " not in word.lstrip(" "):
            words.setdefault(word.replace(" ", "\u2581"))
        if len(words) == size:
            break
    return list(words)


def write_sentences(path: Path, words: list[str], *, prefix: bool, inner: bool = False, name: str = "small") -> None:
    """A file with such a vocabulary. ``inner``: one token has a blank in its middle, as some have. ``name``: the
    model's, by which llama.cpp decides whether blanks around special tokens stay."""
    own = [*(["of\u2581the"] if inner else []), *words]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{value:02X}>" for value in range(256)), *own]
    kinds = [2, 3, 3, *[6] * 256, *[1] * len(own)]
    scores = [0.0] * 259 + [-float(at) for at in range(len(own))]
    tokens, kinds, scores = [*tokens, *USER, *CONTROL], [*kinds, 4, 4, 3, 3, 3], [*scores, *[0.0] * 5]
    count = len(tokens)
    _write(path, count, [
        _text("general.name", name), _text("tokenizer.ggml.model", "llama"), _text("tokenizer.ggml.pre", "default"),
        _pair("tokenizer.ggml.tokens", 9, _list(tokens)),
        _pair("tokenizer.ggml.scores", 9, struct.pack(f"<IQ{count}f", 6, count, *scores)),
        _pair("tokenizer.ggml.token_type", 9, struct.pack(f"<IQ{count}i", 5, count, *kinds)),
        _number("tokenizer.ggml.bos_token_id", 1), _number("tokenizer.ggml.eos_token_id", 2),
        _number("tokenizer.ggml.unknown_token_id", 0), _pair("tokenizer.ggml.add_bos_token", 7, b"\0"),
        _pair("tokenizer.ggml.add_space_prefix", 7, b"\1" if prefix else b"\0"),
    ])  # fmt: skip


def write_pieces(path: Path, words: list[str]) -> None:
    """A file with a WordPiece vocabulary: ``words`` begin a word where they begin with a blank's sign."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens = [*special, *words]
    count = len(tokens)
    kinds = [3] * len(special) + [1] * len(words)
    _write(path, count, [
        _text("tokenizer.ggml.model", "bert"), _text("tokenizer.ggml.pre", "default"),
        _pair("tokenizer.ggml.tokens", 9, _list(tokens)),
        _pair("tokenizer.ggml.token_type", 9, struct.pack(f"<IQ{count}i", 5, count, *kinds)),
        _number("tokenizer.ggml.unknown_token_id", 1), _number("tokenizer.ggml.cls_token_id", 2),
        _number("tokenizer.ggml.bos_token_id", 2), _number("tokenizer.ggml.eos_token_id", 3),
        _number("tokenizer.ggml.seperator_token_id", 3), _number("tokenizer.ggml.padding_token_id", 0),
        _number("tokenizer.ggml.mask_token_id", 4), _pair("tokenizer.ggml.add_bos_token", 7, b"\0"),
        _pair("tokenizer.ggml.add_eos_token", 7, b"\0"),
    ])  # fmt: skip


def write(path: Path, pre: str, tokens: list[str], merges: list[str], template: str = "") -> None:
    tokens = [*tokens, *USER, *CONTROL]
    count = len(tokens)
    kinds = [1] * (count - 5) + [4] * len(USER) + [3] * len(CONTROL)
    _write(path, count, [
        _text("tokenizer.ggml.model", "gpt2"), _text("tokenizer.ggml.pre", pre),
        _pair("tokenizer.ggml.tokens", 9, _list(tokens)), _pair("tokenizer.ggml.merges", 9, _list(merges)),
        _pair("tokenizer.ggml.token_type", 9, struct.pack(f"<IQ{count}i", 5, count, *kinds)),
        _number("tokenizer.ggml.eos_token_id", count - 3), _number("tokenizer.ggml.bos_token_id", count - 3),
        _pair("tokenizer.ggml.add_bos_token", 7, b"\0"),
        *([_text("tokenizer.chat_template", template)] if template else []),
    ])  # fmt: skip


def _write(path: Path, count: int, own: list[bytes]) -> None:
    pairs = [
        _text("general.architecture", "llama"),
        *(_number(f"llama.{name}", value) for name, value in (
            ("context_length", 512), ("embedding_length", WIDTH), ("block_count", 1), ("feed_forward_length", INNER),
            ("attention.head_count", 2), ("rope.dimension_count", 16),
        )),
        _pair("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5)),
        *own,
    ]  # fmt: skip
    shapes = {
        "token_embd": (WIDTH, count), "output_norm": (WIDTH,), "output": (WIDTH, count), "blk.0.attn_norm": (WIDTH,),
        "blk.0.attn_q": (WIDTH, WIDTH), "blk.0.attn_k": (WIDTH, WIDTH), "blk.0.attn_v": (WIDTH, WIDTH),
        "blk.0.attn_output": (WIDTH, WIDTH), "blk.0.ffn_norm": (WIDTH,), "blk.0.ffn_gate": (WIDTH, INNER),
        "blk.0.ffn_up": (WIDTH, INNER), "blk.0.ffn_down": (INNER, WIDTH),
    }  # fmt: skip
    index, offset = b"", 0
    for name, shape in shapes.items():
        index += _string(f"{name}.weight") + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset)
        size = 4
        for side in shape:
            size *= side
        offset += -(-size // 32) * 32
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(pairs)) + b"".join(pairs) + index
    path.write_bytes(head + b"\0" * (-len(head) % 32 + offset))


def _string(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _pair(key: str, kind: int, value: bytes) -> bytes:
    return _string(key) + struct.pack("<I", kind) + value


def _text(key: str, value: str) -> bytes:
    return _pair(key, 8, _string(value))


def _number(key: str, value: int) -> bytes:
    return _pair(key, 4, struct.pack("<I", value))


def _list(values: list[str]) -> bytes:
    return struct.pack("<IQ", 8, len(values)) + b"".join(map(_string, values))
