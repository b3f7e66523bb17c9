"""A server in the shape of a model hub, on loopback: commits, listings with sums, ranges, gates, and what it was asked.

It shares no code with what it tests.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]


class HubServer:
    """``files``: bytes by path below ``OWNER/REPO``, as main has them; what it had before stays at its commit.

    ``ranges``: whether parts of files are sent. ``gates``: repositories for whose files ``token`` is wanted.
    ``expired``: a token that it knows no more. ``sums``: what the listing says of a file in place of its sum.
    ``cuts``: bytes after which the next downloads of a whole file, or of all the rest of it, break off. ``gone``:
    commits that are not there any more.
    """

    def __init__(self, files: dict[str, Files], *, ranges: bool = True) -> None:
        self.files, self.ranges = files, ranges
        self.gates: set[str] = set()
        self.token = "hf_right"
        self.expired = ""
        self.sums: dict[str, str] = {}
        self.cuts: list[int] = []
        self.gone: set[str] = set()
        self.licence = "apache-2.0"
        self.listing: bytes | None = None  # what is listed of any repository, whatever it has
        self.trees = False  # whether it has the older listing alone, as some mirrors do
        self.content = ""  # another server's address, to which files are redirected, as the hub does
        self.requests = 0
        self.sent = 0
        self.url = ""
        self.asked: list[tuple[str, str]] = []  # path and range
        self.tokens: list[str] = []
        self._commits: dict[str, dict[str, Files]] = {}

    def commit(self, repo: str) -> str:
        """The commit that main is at."""
        files = self.files[repo]
        told = "".join(f"{name} {hashlib.sha256(data).hexdigest()}" for name, data in sorted(files.items()))
        name = hashlib.sha1(told.encode()).hexdigest()
        self._commits.setdefault(repo, {})[name] = dict(files)
        return name

    def at(self, repo: str, revision: str) -> tuple[str, Files] | None:
        if repo not in self.files:
            return None
        newest = self.commit(repo)
        commit = newest if revision == "main" else revision
        files = self._commits[repo].get(commit)
        return None if files is None or commit in self.gone else (commit, files)

    def downloads(self, name: str) -> list[str]:
        """Ranges in which a file was asked for, headers apart: "" for all of it."""
        whole = [(path, asked) for path, asked in self.asked if path.endswith(f"/{name}")]
        return [asked for _, asked in whole if not asked or asked.endswith("-")]


@contextmanager
def serving(hub: HubServer) -> Iterator[HubServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            hub.requests += 1
            path = unquote(urlsplit(self.path).path)
            hub.asked.append((path, self.headers.get("range", "")))
            hub.tokens.append(self.headers.get("authorization", ""))
            status, code, data = _answer(hub, path, self.headers.get("authorization", ""))
            if data is not None and hub.content and "/resolve/" in path:
                self.send_response(302)
                self.send_header("location", f"{hub.content}{self.path}")
                self.send_header("content-length", "0")
                self.end_headers()
                return
            if data is None:
                self.send_response(status)
                if code:
                    self.send_header("x-error-code" if " " not in code else "x-error-message", code)
                self.send_header("content-length", "0")
                self.end_headers()
                return
            self._send(data, "/resolve/" in path)

        def _send(self, data: bytes, file: bool) -> None:
            first, last = 0, len(data) - 1
            asked = self.headers.get("range", "") if hub.ranges and file else ""
            rest = not asked
            if asked:
                start, _, end = asked.removeprefix("bytes=").partition("-")
                first, last, rest = int(start), min(int(end or last), last), not end
                if first > last:
                    self.send_response(416)
                    self.send_header("content-length", "0")
                    self.end_headers()
                    return
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("content-range", f"bytes {first}-{last}/{len(data)}")
            self.send_header("content-length", str(last - first + 1))
            self.end_headers()
            cut = hub.cuts.pop(0) if file and rest and hub.cuts else None
            body = data[first : last + 1][:cut]
            hub.sent += len(body)
            with suppress(OSError):  # the client may have read enough
                self.wfile.write(body)
            if cut is not None:
                self.close_connection = True

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that leaves

    server = Quiet(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(hub: HubServer, path: str, authorization: str) -> tuple[int, str, bytes | None]:
    """Status, error code or message, and body. As the hub does, of a repository that is not there it says 401."""
    if hub.expired and authorization == f"Bearer {hub.expired}":
        return 401, "Invalid credentials in Authorization header", None
    steps = path.strip("/").split("/")
    listing = steps[:2] == ["api", "models"]
    steps = steps[2:] if listing else steps
    if len(steps) < 4:
        return 404, "", None
    repo, revision = "/".join(steps[:2]), steps[3]
    if repo not in hub.files:
        return 401, "RepoNotFound", None
    found = hub.at(repo, revision)
    if found is None:
        return 404, "RevisionNotFound", None
    commit, files = found
    if listing and (hub.trees or steps[2] == "tree"):
        tree = [_in_tree(row) for row in _listing(hub, repo, commit, files)["siblings"]]
        return (200, "", json.dumps(tree).encode()) if steps[2] == "tree" else (404, "", None)
    if listing and hub.listing is not None:
        return 200, "", hub.listing
    if listing:
        return 200, "", json.dumps(_listing(hub, repo, commit, files)).encode()
    if repo in hub.gates and authorization != f"Bearer {hub.token}":
        return 401, "GatedRepo", None
    data = files.get("/".join(steps[4:]))
    return (404, "EntryNotFound", None) if data is None else (200, "", data)


def _listing(hub: HubServer, repo: str, commit: str, files: Files) -> dict[str, Any]:
    rows = []
    for name, data in files.items():
        row: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": "0" * 40}
        if name.endswith((".gguf", ".onnx", ".safetensors")):
            sum = hub.sums.get(name) or hashlib.sha256(data).hexdigest()
            row["lfs"] = {"sha256": sum, "size": len(data), "pointerSize": 134}
        rows.append(row)
    return {"id": repo, "sha": commit, "gated": repo in hub.gates, "cardData": {"license": hub.licence},
            "siblings": rows}  # fmt: skip


def _in_tree(row: dict[str, Any]) -> dict[str, Any]:
    stored = {"lfs": {"oid": row["lfs"]["sha256"], "size": row["size"], "pointerSize": 134}} if "lfs" in row else {}
    return {"type": "file", "oid": row["blobId"], "path": row["rfilename"], "size": row["size"], **stored}
