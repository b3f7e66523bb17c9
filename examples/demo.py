"""The demo: real speech, a real image, a real PDF and a video, answered on this machine. ``make demo`` runs it.

Every command is shown before it runs, and can be typed again by hand in examples/media. Config and
store are fresh ones in a temporary folder, so that nothing of yours is used or changed; the weights
are those of your cache.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from intermodal.config.config_file import cache_dir

MEDIA = Path(__file__).parent / "media"
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ

EVERYTHING = ("What is the invoice number?", "jfk.wav", "report.pdf", "screenshot-invoice.png")
SCENES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Speech, an image and a PDF in one question. First only the plan: it contacts no model and spends nothing.",
        ("intermodal", "explain", *EVERYTHING),
    ),
    (
        "Now run it. -q leaves the plan out, it was just seen; --analyze says afterwards what each step really took.",
        ("intermodal", "ask", "-q", "--analyze", *EVERYTHING),
    ),
    (
        "A PDF with a text layer: its words are extracted, nothing has to be read.",
        ("intermodal", "ask", "-q", "Who is the managing director?", "report.pdf"),
    ),
    (
        "A scanned PDF, images only: its pages are rendered and read.",
        ("intermodal", "ask", "-q", "What is the storage fee per day?", "scanned.pdf"),
    ),
    (
        "A video: its speech is heard, and what stands on the screen is read once per scene.",
        ("intermodal", "ask", "-q", "What is the total due on the invoice?", "talk-over-stills.mp4"),
    ),
    (
        "Speech as subtitles.",
        ("intermodal", "ask", "-q", "--output", "transcript", "--format", "srt", "jfk.wav"),
    ),
    (
        "Music: nobody speaks, and no words are invented.",
        ("intermodal", "ask", "-q", "--output", "transcript", "--format", "json", "music.ogg"),
    ),
    (
        "Why not a model that sees? A key in the environment (this one is made up) is not consent.",
        (
            *("env", "OPENAI_API_KEY=made-up"),
            *("intermodal", "explain", "What is in the picture?", "photo-cat.jpg", "--why-not", "openai:openai/gpt-4o"),
        ),
    ),
    (
        "What was spent: one row per attempt, estimate beside actual.",
        ("intermodal", "usage"),
    ),
)


def main() -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="intermodal-demo-") as home:
        env = _environment(Path(home))
        for number, (says, command) in enumerate(SCENES, 1):
            print(f"\n{_style('1;36', f'{number}. {says}')}")
            print(f"{_style('1', f'$ {_shown(command)}')}\n", flush=True)
            status = subprocess.run(command, cwd=MEDIA, env=env, check=False).returncode
            if status:
                sys.exit(f"\nThe command above ended with exit code {status}.")
    print(
        f"\n{_style('1;36', f'Done in {time.monotonic() - started:.0f} s.')} The commands are in .venv/bin; "
        "the files are in examples/media. Next: intermodal doctor, or README.md."
    )


def _environment(home: Path) -> dict[str, str]:
    """This environment with a home of its own, the verbs on the path, and the weights that were pulled."""
    env = {**os.environ, "INTERMODAL_HOME": str(home)}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', '')}"
    cache = cache_dir(env)
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "weights").symlink_to(cache_dir(os.environ) / "weights", target_is_directory=True)
    return env


def _shown(command: Sequence[str]) -> str:
    return " ".join(f'"{word}"' if " " in word else shlex.quote(word) for word in command)


def _style(code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


if __name__ == "__main__":
    main()
