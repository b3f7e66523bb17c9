"""Make what vLLM reads: SmolLM2 as a Hugging Face folder, and the same with tiny-eye as a LLaVA.

    python tests/vllm/export.py SMOLLM2.gguf TINY_EYE.gguf FOLDER      in the environment that holds vLLM

Writes FOLDER/text and FOLDER/eye (bfloat16, about 270 MB each). Both are the weights that llama.cpp runs in the other
tests, taken out of their GGUF files: nothing is trained or fetched here.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from gguf import GGUFReader, dequantize
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    SiglipImageProcessor,
    SiglipVisionConfig,
)

LAYERS = 4  # the file has a fifth that llama.cpp leaves out, as LLaVA takes the features of the layer before the last
BLOCKS = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_out": "self_attn.out_proj", "ln1": "layer_norm1", "ln2": "layer_norm2", "ffn_up": "mlp.fc1",
    "ffn_down": "mlp.fc2",
}  # fmt: skip
IMAGE = "<image>"


def export_text(source: Path, into: Path) -> None:
    """The language model alone."""
    read = GgufConfig(gguf_file=source.name, dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, quantization_config=read, dtype=torch.bfloat16
    )
    model.config.quantization_config = None
    model.save_pretrained(into)
    AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(into)


def export_eye(text: Path, projector: Path, into: Path) -> None:
    """The language model with the projector before it."""
    tokenizer = AutoTokenizer.from_pretrained(text)
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]})
    language = AutoModelForCausalLM.from_pretrained(text, dtype=torch.float32)
    rows = 64 * -(-len(tokenizer) // 64)
    language.resize_token_embeddings(rows, mean_resizing=False)
    vision = SiglipVisionConfig(
        hidden_size=144, intermediate_size=576, num_hidden_layers=LAYERS, num_attention_heads=4, image_size=64,
        patch_size=16, hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-6, vision_use_head=False,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=vision, text_config=language.config, image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        projector_hidden_act="gelu_pytorch_tanh", vision_feature_select_strategy="full", vision_feature_layer=-1,
        image_seq_length=16, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlavaForConditionalGeneration(config).to(torch.float32)
    ours = model.state_dict()
    for within, given in (("language_model.", language.model.state_dict()), ("", _eye(projector))):
        for ending, value in given.items():
            (name,) = (key for key in ours if key.endswith(within + ending) and (within or "language_model" not in key))
            ours[name] = value.reshape(ours[name].shape)
    model.load_state_dict(ours)
    model.tie_weights()
    model.to(torch.bfloat16).save_pretrained(into)
    images = SiglipImageProcessor(
        size={"height": 64, "width": 64}, image_mean=[0.5] * 3, image_std=[0.5] * 3, resample=2
    )
    LlavaProcessor(
        image_processor=images, tokenizer=tokenizer, patch_size=16, vision_feature_select_strategy="full",
        image_token=IMAGE, num_additional_image_tokens=0, chat_template=tokenizer.chat_template,
    ).save_pretrained(into)  # fmt: skip
    _as_vllm_names(into)


def _eye(projector: Path) -> dict[str, torch.Tensor]:
    """The projector's tensors under the ends of their Hugging Face names."""
    found: dict[str, torch.Tensor] = {}
    names = {"v.patch_embd": "embeddings.patch_embedding", "mm.0": "linear_1", "mm.2": "linear_2"}
    for place in range(LAYERS):
        names |= {f"v.blk.{place}.{ours}": f"layers.{place}.{theirs}" for ours, theirs in BLOCKS.items()}
    for tensor in GGUFReader(projector).tensors:
        value = torch.tensor(dequantize(tensor.data, tensor.tensor_type))
        stem, _, kind = tensor.name.rpartition(".")
        if stem in names:
            found[f"{names[stem]}.{kind}"] = value
        elif stem == "v.position_embd":
            found["embeddings.position_embedding.weight"] = value
    return found


def _as_vllm_names(folder: Path) -> None:
    """vLLM wants ``vision_tower.vision_model.*`` where transformers 5 saves ``vision_tower.*``."""
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    mended = {}
    for name, value in load_file(path).items():
        old = "vision_tower."
        at = name.find(old)
        if at >= 0 and "vision_tower.vision_model." not in name:
            name = name[: at + len(old)] + "vision_model." + name[at + len(old) :]
        mended[name] = value.contiguous()
    save_file(mended, path, metadata={"format": "pt"})


if __name__ == "__main__":
    language, projector, folder = map(Path, sys.argv[1:])
    export_text(language, folder / "text")
    export_eye(folder / "text", projector, folder / "eye")
