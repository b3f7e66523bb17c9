"""The models in ONNX that this project trained, each in a folder, as a user has them in the config; and broken ones."""

from __future__ import annotations

import shutil
from pathlib import Path

MEDIA = Path(__file__).parents[1] / "media"
BERT, CLIP = MEDIA / "tiny_bert", MEDIA / "tiny_clip"


def config(folder: Path, protocol: str, **models: Path) -> Path:
    """A configuration with a host ``mine``, whose models are ``test/NAME``; ``_`` of a name is ``-`` there."""
    rows = "".join(
        f'\n[[hosts.mine.models]]\nid = "test/{name.replace("_", "-")}"\nserved_as = "{name.replace("_", "-")}"\n'
        f'weights = "{weights}"\n'
        for name, weights in models.items()
    )
    path = folder / "intermodal.toml"
    path.write_text(f'[hosts.mine]\nprotocol = "{protocol}"\n{rows}')
    return path


def copied(model: Path, tmp_path: Path) -> Path:
    """A copy of a model's folder, to be changed."""
    return Path(shutil.copytree(model, tmp_path / "copied"))


def cut(path: Path) -> None:
    """Leave the first half of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
