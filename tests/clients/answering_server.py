"""A small server for the client's tests: checks requests, signs answers, misbehaves on demand."""

import base64
import json
import socket
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from merchants import signatures

SERVER_KEY = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"\x08" * 32)


def public_text(key: Ed25519PrivateKey) -> str:
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def published(key_id: str = "server-1", key: Ed25519PrivateKey = SERVER_KEY) -> dict[str, str]:
    return {
        "key_id": key_id,
        "algorithm": "Ed25519",
        "public_key": public_text(key),
        "not_before": "2026-01-01T00:00:00Z",
        "not_after": "2099-01-01T00:00:00Z",
    }


class Server(ThreadingHTTPServer):
    """Answers what the test has queued, else 201 with an echo; keeps what it received."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[dict[str, Any]] = []
        self.connections = 0
        self.script: list[dict[str, Any]] = []
        self.terminal_key: Ed25519PublicKey | None = None
        self.clock_ahead_s = 0
        self.published = [published()]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def log_message(self, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        self.handle_any()

    def do_GET(self) -> None:
        self.handle_any()

    def handle_any(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        path, _, query = self.path.partition("?")
        now = int(time.time()) + self.server.clock_ahead_s
        seen = {
            "method": self.command,
            "path": path,
            "query": query,
            "headers": headers,
            "body": json.loads(content) if content else None,
            "refused": None,
        }
        self.server.seen.append(seen)
        if path == "/api/v1/terminals/enrol":
            self.enrol(seen["body"])
            return
        step = self.server.script.pop(0) if self.server.script else {}
        status, answer = step.get("status", 201), step.get("body", {"echo": seen["body"]})
        try:
            assert self.server.terminal_key is not None
            parsed = signatures.parse_request(
                method=self.command,
                authority=headers["host"],
                path=path,
                query=query,
                headers=headers,
                body=content,
            )
            signatures.check(parsed, public_key=self.server.terminal_key, now=now)
        except signatures.SignatureRefused as refused:
            seen["refused"] = refused.code
            status, answer = 401, {"code": refused.code, "detail": "no", "status": 401}
        if path == "/.well-known/answer-keys.json":
            self.answer(200, json.dumps({"keys": self.server.published}).encode(), {})
            return
        if step.get("hang_up"):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if "stall" in step:
            step["stall"].wait(10)
            self.close_connection = True
            return
        body = step.get("raw", json.dumps(answer).encode())
        signed = signatures.sign_answer(
            status=status,
            body=body,
            request_signature=(
                step["bound_to"] if "bound_to" in step else signatures.request_signature(headers)
            ),
            private_key=step.get("key", SERVER_KEY),
            key_id=step.get("key_id", "server-1"),
            created=step.get("created", now),
        )
        self.answer(
            step.get("sent_status", status),
            step.get("sent", body),
            ({} if step.get("unsigned") else signed) | step.get("headers", {}),
        )

    def enrol(self, wish: dict[str, str]) -> None:
        if wish["one_time_code"] != "ABCD-EFGH-JKLM":
            body = {"code": "one_time_code_unknown", "detail": "unknown", "status": 404}
            self.answer(404, json.dumps(body).encode(), {})
            return
        raw = base64.urlsafe_b64decode(wish["public_key"] + "=")
        self.server.terminal_key = Ed25519PublicKey.from_public_bytes(raw)
        body = {
            "terminal_id": 7,
            "key_id": "t-abcd",
            "merchant": {"code": "P37030000001", "name": "示例药店", "kind": "pharmacy"},
            "answer_keys": self.server.published,
        }
        self.answer(201, json.dumps(body).encode(), {})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
