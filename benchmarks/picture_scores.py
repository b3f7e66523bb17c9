"""``ask --labels`` on a picture beside onnxruntime called plainly: whole programs, from start to end.

    python benchmarks/picture_scores.py FOLDER [RUNS]

FOLDER holds a CLIP in the hub's layout, two files in ``onnx/``. Both programs load it, look at one photo, compare it
with three labels and print the scores; they run in turn, RUNS (15) times each, and the first of each is left out.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import report
from home import fresh_home

PHOTO = Path(__file__).parent.parent / "examples" / "media" / "photo-cat.jpg"
INTERMODAL = str(Path(sys.executable).parent / "intermodal")
LABELS = ("dog", "cat", "house")
PLAIN = """
import json, sys
from pathlib import Path
import numpy, onnxruntime
from PIL import Image
from tokenizers import Tokenizer

folder, photo, *labels = Path(sys.argv[1]), *sys.argv[2:]
said = json.loads((folder / "preprocessor_config.json").read_text())
side = said["crop_size"]["height"]
image = Image.open(photo).convert("RGB")
share = side / min(image.size)
image = image.resize((round(image.width * share), round(image.height * share)), Image.Resampling.BICUBIC)
left, top = (image.width - side) // 2, (image.height - side) // 2
pixels = numpy.asarray(image.crop((left, top, left + side, top + side)), "float32") / 255
pixels = ((pixels - said["image_mean"]) / said["image_std"]).transpose(2, 0, 1)[None].astype("float32")
vision = onnxruntime.InferenceSession(folder / "onnx" / "vision_model.onnx")
seen = vision.run(None, {"pixel_values": pixels})[0]
words = Tokenizer.from_file(str(folder / "tokenizer.json"))
words.enable_padding()
rows = words.encode_batch([f"a photo of a {label}." for label in labels])
ids, mask = (numpy.array([getattr(row, name) for row in rows]) for name in ("ids", "attention_mask"))
text = onnxruntime.InferenceSession(folder / "onnx" / "text_model.onnx")
told = text.run(None, {"input_ids": ids, "attention_mask": mask})[0]
seen, told = (each / numpy.linalg.norm(each, axis=1, keepdims=True) for each in (seen, told))
scores = numpy.exp(100 * (seen @ told.T)[0])
for label, score in zip(labels, scores / scores.sum()):
    print(f"{score:.3f}  {label}")
"""


def measured(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Seconds by the clock and of processor time, of the program and its children."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    folder, runs = str(Path(sys.argv[1]).absolute()), int(sys.argv[2]) if len(sys.argv) > 2 else 15
    with fresh_home() as env:
        row = f'[[hosts.mine.models]]\nid = "test/clip"\nserved_as = "clip"\nweights = "{folder}"\n'
        config = Path(env["INTERMODAL_HOME"]) / "clip.toml"
        config.write_text(f'[hosts.mine]\nprotocol = "contrastive"\n{row}')
        env["INTERMODAL_CONFIG"] = str(config)
        commands = {
            "onnxruntime, Pillow and tokenizers": [sys.executable, "-c", PLAIN, folder, str(PHOTO), *LABELS],
            "`intermodal ask --labels`": [
                INTERMODAL, "ask", "--quiet", "--model", "clip", "--labels", ",".join(LABELS), str(PHOTO),
            ],
        }  # fmt: skip
        times = [[measured(command, env) for command in commands.values()] for _ in range(runs + 1)][1:]
    plain, ours = (tuple(report.median(run[which][kind] for run in times) for kind in (0, 1)) for which in (0, 1))
    rows = [
        (name, f"{wall:.2f} s", f"{cpu:.2f} s", f"{wall / plain[0]:.2f}", f"{cpu / plain[1]:.2f}")
        for name, (wall, cpu) in zip(commands, (plain, ours), strict=True)
    ]
    body = report.table(("what", "by the clock", "processor", "times as long", "times the processor"), rows)
    megabytes = sum(path.stat().st_size for path in Path(folder).glob("onnx/*.onnx")) / 1e6
    said = f"Two files of {megabytes:.0f} MB together. Medians of {runs} runs each. Goal: 1.3 times."
    report.write("picture_scores", "A picture and three labels", f"{body}\n\n{said}")


if __name__ == "__main__":
    main()
