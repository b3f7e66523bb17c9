"""What a model receives of files whose contents are known, beside other libraries on the same files.

    python benchmarks/fidelity/run.py [--only pdf] [--half fit] [--peers] [--list] [--write]

Every file is asked about through a client whose only model is a text-only one at a loopback server; the prompt that
arrives there is held against the file's truth (``checks.py``). Files are made on demand from seeds (``samples.py``):
one half ("fit") may be looked at and tuned on, of the other ("report") nothing is told but numbers.

Results are kept in ``out/fidelity``, ours by file and by all source of this package, those of peers by file: what is
unchanged is not run again, and its seconds are those of the time when it was. ``--peers`` runs the
others, from ``~/.cache/intermodal-fidelity/peers`` or ``FIDELITY_PEERS``, an environment made of the dependency group
``fidelity-peers`` (``make bench-fidelity`` makes it). ``--list`` prints the failing checks of the fit half, ``--write``
writes results/fidelity.md. Ends with an error where a plan claims to keep what does not arrive. ``before.json`` has
what was right, and the seconds, before readers were changed for it: at 05af4acb, videos at f3db7cf2.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
if str(HERE.parent) not in sys.path:
    sys.path.insert(0, str(HERE.parent))
sys.path[:] = [each for each in sys.path if each != str(HERE)]  # its modules are those of the package ``fidelity``

import msgspec  # noqa: E402
import report  # noqa: E402

from fidelity import speech  # noqa: E402
from fidelity.checks import Arrived, share  # noqa: E402
from fidelity.claims import claims_table, false_claims  # noqa: E402
from fidelity.ours import Row, asked, served  # noqa: E402
from fidelity.samples import Sample, samples  # noqa: E402

OUT = ROOT / "out" / "fidelity"
PEERS = Path(os.environ.get("FIDELITY_PEERS", Path.home() / ".cache" / "intermodal-fidelity" / "peers"))
OF_GROUP = {
    "pdf": ("pypdfium2", "pdfplumber", "MarkItDown", "LiteParse"),
    "pictures": ("RapidOCR", "tesseract"),
    "audio": ("faster-whisper + VAD",),
    "video": ("faster-whisper + VAD",),
    "office": ("MarkItDown",),
}
TELLING = "read or told"  # of no use to who only reads


def main() -> None:
    options = _options()
    picked = [each for each in samples() if options.only in (None, each.group) and options.half in (None, each.half)]
    picked = [each for each in picked if options.kind in each.kind]
    if any(each.group in ("audio", "video") for each in picked):
        speech.speak_all()
    datas = _made(picked)
    ours = run_ours(picked, datas)
    peers = run_peers(picked, datas, allowed=options.peers)
    if options.list:
        print(failures([each for each in picked if each.half == "fit"], ours))
    before = json.loads((HERE / "before.json").read_text())
    if options.write:
        report.write("fidelity", "What arrives of files", body(picked, ours, peers, before))
    else:
        print(body(picked, ours, peers, before))
    if false := false_claims(picked, ours):
        shown = [f"{each.aspect} of {each.name}" for each in false if each.name.startswith("fit-")]
        sys.exit(f"{len(false)} claims of plans are false; of the fit half: {', '.join(shown) or 'none'}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=sorted(OF_GROUP), help="files of one class")
    parser.add_argument("--half", choices=("fit", "report"))
    parser.add_argument("--kind", default="", help="files whose kind has this in its name")
    parser.add_argument("--peers", action="store_true", help="run the other libraries, too")
    parser.add_argument("--list", action="store_true", help="print the failing checks of the fit half")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/fidelity.md")
    return parser.parse_args()


def _made(picked: Sequence[Sample]) -> dict[str, bytes]:
    """The bytes of each file, from disk where the generator has not changed since they were made."""
    version = _digest(
        path.read_bytes() for path in sorted(HERE.glob("*.py")) if path.stem not in ("run", "claims", "ours", "peers")
    )
    folder = OUT / "files" / version
    folder.mkdir(parents=True, exist_ok=True)
    for sample in picked:
        path = folder / sample.name
        if not path.exists():
            path.write_bytes(sample.make())
    return {sample.name: (folder / sample.name).read_bytes() for sample in picked}


def _digest(parts: Iterable[bytes]) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(hashlib.sha256(part).digest())
    return found.hexdigest()[:16]


# ---- running ------------------------------------------------------------------------------------------


def run_ours(picked: Sequence[Sample], datas: dict[str, bytes]) -> dict[str, Row]:
    """A row for each file, those of before where neither file nor source has changed."""
    source = _digest(path.read_bytes() for path in sorted((ROOT / "src").rglob("*.py")))
    kept = OUT / "ours"
    kept.mkdir(parents=True, exist_ok=True)
    rows: dict[str, Row] = {}
    for group in dict.fromkeys(each.group for each in picked):
        missing: list[tuple[Sample, Path]] = []
        for sample in (each for each in picked if each.group == group):
            asked_for = f"{sample.prompt}{sample.keep}".encode()
            path = (
                kept
                / f"{_digest([datas[sample.name], asked_for, source.encode(), (HERE / 'ours.py').read_bytes()])}.json"
            )
            if path.exists():
                rows[sample.name] = msgspec.json.decode(path.read_bytes(), type=Row)
            else:
                missing.append((sample, path))
        if missing:
            with served() as (client, host):
                for number, (sample, path) in enumerate(missing, 1):
                    row = rows[sample.name] = asked(client, host, sample, datas[sample.name])
                    path.write_bytes(msgspec.json.encode(row))
                    print(f"{number} of {len(missing)}: {sample.name} {row.seconds:.1f} s", file=sys.stderr, flush=True)
    return rows


def run_peers(picked: Sequence[Sample], datas: dict[str, bytes], *, allowed: bool) -> dict[str, dict[str, Row]]:
    """Rows of each peer; only what is there already where running them is not allowed."""
    found: dict[str, dict[str, Row]] = defaultdict(dict)
    for group in dict.fromkeys(each.group for each in picked):
        for peer in OF_GROUP[group]:
            kept = OUT / "peers" / peer.replace(" ", "")
            kept.mkdir(parents=True, exist_ok=True)
            folder = kept / "files"
            missing: list[tuple[str, Path]] = []
            for sample in (each for each in picked if each.group == group):
                path = kept / f"{_digest([datas[sample.name]])}.json"
                if path.exists():
                    found[peer][sample.name] = msgspec.json.decode(path.read_bytes(), type=Row)
                else:
                    missing.append((sample.name, path))
            if allowed and missing and (peer != "tesseract" or shutil.which("tesseract")):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                for name, _ in missing:
                    (folder / name).write_bytes(datas[name])
                for (name, path), row in zip(missing, _peer(peer, [folder / name for name, _ in missing]), strict=True):
                    assert row.name == name
                    found[peer][name] = row
                    path.write_bytes(msgspec.json.encode(row))
                shutil.rmtree(folder)
    return found


def _peer(peer: str, paths: Sequence[Path]) -> list[Row]:
    from intermodal.config.config_file import cache_dir

    print(f"{peer} on {len(paths)} files", file=sys.stderr, flush=True)
    env = {
        **os.environ,
        "FIDELITY_WHISPER": str(cache_dir(os.environ) / "weights" / "whisper-base"),
        "OMP_NUM_THREADS": "2",
    }
    command = [str(PEERS / "bin" / "python"), str(HERE / "peers.py"), peer, *map(str, paths)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    lines = [line.partition("\0")[2] for line in ran.stdout.splitlines() if "\0" in line]
    return [msgspec.json.decode(line, type=Row) for line in lines]


# ---- counting -----------------------------------------------------------------------------------------


def right(sample: Sample, row: Row | None, *, tells: bool = True) -> list[bool]:
    """Whether each check holds. Of a file that was refused none does; that nothing is in it may be why."""
    checks = [check for check in sample.checks if tells or check.what != TELLING]
    if row is not None and row.error.startswith("NoContentFound"):
        return [check.what == "silent" for check in checks]
    if row is None or row.error:
        return [False] * len(checks)
    return [check.holds(Arrived(row.text, row.told)) for check in checks]


def failures(picked: Sequence[Sample], rows: dict[str, Row]) -> str:
    """Failing checks, file by file."""
    lines: list[str] = []
    for sample in picked:
        row = rows[sample.name]
        held = right(sample, row)
        if not all(held):
            arrived = f"{share(sample.truth, row.text):.0%} of the words" if sample.truth else "no words to arrive"
            lines.append(
                f"- {sample.name}: {sum(held)} of {len(held)} right, {arrived}{f'; {row.error}' if row.error else ''}"
            )
            lines += [
                f"    - {check.said}"
                for check, good in zip(sample.checks, held, strict=True)
                if not good and not row.error
            ]
    return "\n".join(lines)


def count(picked: Sequence[Sample], rows: dict[str, Row], *, tells: bool = True) -> tuple[int, int, float]:
    """Right, total, and the processor's seconds."""
    held = [each for sample in picked for each in right(sample, rows.get(sample.name), tells=tells)]
    return sum(held), len(held), sum(rows[sample.name].seconds for sample in picked if sample.name in rows)


def body(
    picked: Sequence[Sample], ours: dict[str, Row], peers: dict[str, dict[str, Row]],
    before: dict[str, dict[str, list[float]]] | None = None,
) -> str:  # fmt: skip
    """The tables: by class and half, peers beside, by kind, and claims."""
    parts = [f"{len(picked)} files, {sum(len(each.checks) for each in picked)} checks. Ours are of {commit()}."]
    rows = []
    for group in dict.fromkeys(each.group for each in picked):
        for half in ("fit", "report"):
            some = [each for each in picked if each.group == group and each.half == half]
            if not some:
                continue
            good, total, seconds = count(some, ours)
            old = (before or {}).get(group, {}).get(half)
            was, took = (f"{old[0]:g}", f"{old[1]:.0f}") if old else ("-", "-")
            now = (str(good), str(total), f"{good / total:.0%}")
            rows.append((group, half, str(len(some)), was, *now, took, f"{seconds:.0f}"))
    parts.append(
        report.table(("class", "half", "files", "right before", "right", "of", "share", "CPU s before", "CPU s"), rows)
    )
    parts.append("## Beside other libraries\n\nBoth halves, without the checks of what is said of a file.")
    parts.append(report.table(("class", "who", "right", "of", "CPU s"), _beside(picked, ours, peers)))
    parts.append("## By kind\n\nBoth halves together.")
    parts.append(report.table(("class", "kind", "right", "of"), _by_kind(picked, ours)))
    parts.append(claims_table(picked, ours))
    return "\n\n".join(parts)


def commit() -> str:
    """The commit whose sources ran, and whether they were changed since."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    head = git("rev-parse", "--short=8", "HEAD") or "a copy without its history"
    return f"{head} with changes that are in no commit" if git("status", "--porcelain", "src") else f"commit {head}"


def _beside(picked: Sequence[Sample], ours: dict[str, Row], peers: dict[str, dict[str, Row]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for group in dict.fromkeys(each.group for each in picked):
        some = [each for each in picked if each.group == group]
        for who, found in (("intermodal", ours), *((peer, peers.get(peer, {})) for peer in OF_GROUP[group])):
            if all(each.name in found for each in some):
                good, total, seconds = count(some, found, tells=False)
                rows.append((group, who, str(good), str(total), f"{seconds:.1f}"))
    return rows


def _by_kind(picked: Sequence[Sample], ours: dict[str, Row]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for group, kind in dict.fromkeys((each.group, each.kind) for each in picked):
        good, total, _ = count([each for each in picked if (each.group, each.kind) == (group, kind)], ours)
        rows.append((group, kind, str(good), str(total)))
    return rows


if __name__ == "__main__":
    main()
