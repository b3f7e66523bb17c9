"""Models in other programs' folders are found with name, size and projector, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

from intermodal.sizing.model_sources import StoredModel, stored_models


def put(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def found(home: Path, **env: str) -> dict[str, StoredModel]:
    return {model.name: model for model in stored_models(env, home)}


def manifest(root: Path, where: str, **layers: str) -> None:
    kinds = {"model": "application/vnd.ollama.image.model", "projector": "application/vnd.ollama.image.projector"}
    rows = [{"mediaType": kinds[kind], "digest": f"sha256:{digest}"} for kind, digest in layers.items()]
    file = root / "manifests" / where
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"layers": [*rows, {"mediaType": "application/vnd.ollama.image.template"}]}))


def test_ollama_models_are_named_as_its_list_names_them(tmp_path: Path) -> None:
    root = tmp_path / ".ollama" / "models"
    model, eyes = put(root / "blobs" / f"sha256-{'a' * 64}", 90), put(root / "blobs" / f"sha256-{'b' * 64}", 10)
    manifest(root, "registry.ollama.ai/library/llama3.2/1b", model="a" * 64, projector="b" * 64)
    manifest(root, "hf.co/owner/repo/Q4_K_M", model="a" * 64)
    manifest(root, "registry.ollama.ai/library/gone/latest", model="c" * 64)
    manifest(root, "registry.ollama.ai/library/evil/latest", model="../../../etc/passwd")
    (root / "manifests" / "registry.ollama.ai" / "library" / "llama3.2" / "broken").write_text("{")
    models = found(tmp_path)
    assert set(models) == {"llama3.2:1b", "hf.co/owner/repo:Q4_K_M"}
    assert models["llama3.2:1b"] == StoredModel(
        name="llama3.2:1b", store="ollama", path=str(model), size=90, projector=str(eyes)
    )
    assert models["hf.co/owner/repo:Q4_K_M"].projector == ""


def test_ollama_keeps_its_models_where_the_environment_says(tmp_path: Path) -> None:
    put(tmp_path / "other" / "blobs" / f"sha256-{'a' * 64}", 5)
    manifest(tmp_path / "other", "registry.ollama.ai/me/small/latest", model="a" * 64)
    assert set(found(tmp_path, OLLAMA_MODELS=str(tmp_path / "other"))) == {"me/small:latest"}


def test_a_projector_beside_a_model_is_its_and_no_model_itself(tmp_path: Path) -> None:
    folder = tmp_path / ".lmstudio" / "models" / "owner" / "repo"
    put(folder / "model-Q4_K_M.gguf", 30)
    eyes = put(folder / "mmproj-model-f16.gguf", 7)
    put(folder / "notes.txt", 1)
    put(tmp_path / ".cache" / "lm-studio" / "models" / "a" / "b" / "old.gguf", 3)
    models = found(tmp_path)
    assert set(models) == {"owner/repo/model-Q4_K_M.gguf", "a/b/old.gguf"}
    assert models["owner/repo/model-Q4_K_M.gguf"].projector == str(eyes)


def test_a_split_model_is_one_model_of_all_its_parts(tmp_path: Path) -> None:
    folder = tmp_path / ".cache" / "llama.cpp"
    put(folder / "big-00001-of-00002.gguf", 4)
    put(folder / "big-00002-of-00002.gguf", 5)
    put(folder / "half-00001-of-00002.gguf", 4)
    models = stored_models({}, tmp_path)
    assert [(model.name, model.size) for model in models] == [("big-00001-of-00002.gguf", 9)]
    assert stored_models({"LLAMA_CACHE": str(tmp_path / "none")}, tmp_path) == ()


def test_the_hub_cache_has_files_behind_links_and_folders_of_safetensors(tmp_path: Path) -> None:
    root = tmp_path / "hub"
    blob = put(root / "models--owner--repo" / "blobs" / "abc", 11)
    link = root / "models--owner--repo" / "snapshots" / "rev" / "m.gguf"
    link.parent.mkdir(parents=True)
    link.symlink_to(blob)
    saved = root / "models--org--whole" / "snapshots" / "rev"
    put(saved / "model.safetensors", 20)
    put(saved / "config.json", 2)
    put(root / "datasets--org--data" / "snapshots" / "rev" / "d.gguf", 2)
    models = found(tmp_path, HF_HUB_CACHE=str(root))
    assert {(model.name, model.size) for model in models.values()} == {("owner/repo/m.gguf", 11), ("org/whole", 20)}
    assert found(tmp_path, HF_HOME=str(tmp_path)) == models


def test_folders_that_are_not_there_have_no_models(tmp_path: Path) -> None:
    assert stored_models({}, tmp_path) == ()
