"""A speech server of its own, run as a program: Whisper behind OpenAI's ``/audio/transcriptions``.

    python tests/e2e/ear.py FOLDER_OF_WHISPER BEAM

Prints its port. It shares no code with the wire that speaks to it.
"""

from __future__ import annotations

import json
import sys
from email import policy
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Lock
from typing import Any


class Ear(BaseHTTPRequestHandler):
    """One model for all requests, one after the other."""

    protocol_version = "HTTP/1.1"
    model: Any = None
    beam = 1
    turn = Lock()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        fields = _form(self.headers["content-type"], body)
        with self.turn:
            segments, info = self.model.transcribe(
                BytesIO(fields["file"]), beam_size=self.beam, language=fields.get("language", b"").decode() or None,
                vad_filter=True, condition_on_previous_text=False,
            )  # fmt: skip
            said = [{"start": each.start, "end": each.end, "text": each.text} for each in segments]
        text = " ".join(each["text"].strip() for each in said)
        self._reply({"text": text, "language": info.language, "duration": info.duration, "segments": said})

    def _reply(self, tree: dict[str, Any]) -> None:
        data = json.dumps(tree).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        return


def _form(content_type: str, body: bytes) -> dict[str, bytes]:
    message = BytesParser(policy=policy.HTTP).parsebytes(b"content-type: " + content_type.encode() + b"\r\n\r\n" + body)
    found: dict[str, bytes] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        found[str(name)] = part.get_payload(decode=True)  # type: ignore[assignment]
    return found


def main() -> None:
    from faster_whisper import WhisperModel

    Ear.model = WhisperModel(sys.argv[1], device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)
    Ear.beam = int(sys.argv[2])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ear)
    print(server.server_port, flush=True)  # noqa: T201
    server.serve_forever()


if __name__ == "__main__":
    main()
