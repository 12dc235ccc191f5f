"""Object storage on the loopback interface, for tests: moto's S3 server, and a proxy before it that fails one request in so many."""

from __future__ import annotations

import contextlib
import http.client
import logging
import random
import socket
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FAULTS = ("refused", "dropped", "lost", "cut")  # those that a second try mends
STATUS = {"refused": 503, "forbidden": 403}


@contextlib.contextmanager
def bucket(name: str = "bucket", host: str = "127.0.0.1") -> Iterator[str]:
    """An empty bucket of a new S3 server, one at a time; yields the server's address."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line for each request
    server = ThreadedMotoServer(ip_address=host, port=0, verbose=False)
    server.start()
    at = f"http://{host}:{server.get_host_and_port()[1]}"
    try:
        for path, method in (
            ("moto-api/reset", "POST"),
            (name, "PUT"),
        ):  # moto's servers of one process share what they hold
            urllib.request.urlopen(urllib.request.Request(f"{at}/{path}", method=method), timeout=30).close()
        yield at
    finally:
        server.stop()


def uri(at: str, path: str = "bucket/store", credentials: str = "key:secret") -> str:
    """The storage URI of a path on the S3 server at `at`."""
    where = urlsplit(at)
    return f"s3://{credentials}@{path}?scheme={where.scheme}&endpoint_override={where.netloc}&region=us-east-1"


@dataclass
class Flaky:
    """What a failing proxy did: its address, how many requests it has seen, how many failed in which way."""

    at: str = ""
    requests: int = 0
    failed: Counter[str] = field(default_factory=Counter)


def _body(request: BaseHTTPRequestHandler) -> bytes:
    if request.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length") or 0))
    del request.headers["Transfer-Encoding"]  # http.client counts it anew
    parts = []
    while size := int(request.rfile.readline().split(b";")[0], 16):
        parts.append(request.rfile.read(size))
        request.rfile.readline()
    while request.rfile.readline().strip():
        pass
    return b"".join(parts)


def _ask(request: BaseHTTPRequestHandler, body: bytes, upstream: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(upstream).netloc, timeout=60)
    try:
        connection.request(request.command, request.path, body, dict(request.headers))
        answer = connection.getresponse()
        data = answer.read()
        headers = {k: v for k, v in answer.getheaders() if k.lower() not in ("connection", "transfer-encoding")}
        if request.command != "HEAD":
            headers = {k: v for k, v in headers.items() if k.lower() != "content-length"}
            headers["Content-Length"] = str(len(data))
        return answer.status, headers, data
    finally:
        connection.close()


@contextlib.contextmanager
def flaky(upstream: str, one_in: int = 20, seed: int = 0, faults: tuple[str, ...] = FAULTS) -> Iterator[Flaky]:
    """A proxy before `upstream` that fails one request in `one_in`, chosen by `seed`, in one of these ways:

    refused: answers 503. forbidden: answers 403. dropped: closes the connection unheard. lost: the server does what is asked,
    its answer never comes back. cut: the answer ends in the middle.
    """
    seen, draw, lock = Flaky(), random.Random(seed), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = _body(self)
            with lock:
                seen.requests += 1
                fault = draw.choice(faults) if draw.randrange(one_in) == 0 else None
                if fault is not None:
                    seen.failed[fault] += 1
            if fault in STATUS:
                self._answer(STATUS[fault], {"Content-Length": "0"}, b"", 0)
            elif fault == "dropped":
                self._hang_up()
            else:
                status, headers, data = _ask(self, body, upstream)
                if fault == "lost":
                    self._hang_up()
                else:
                    self._answer(status, headers, data, len(data) // 2 if fault == "cut" else len(data))

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one

        def _answer(self, status: int, headers: dict[str, str], data: bytes, kept: int) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data[:kept])
            if kept < len(data):
                self._hang_up()

        def _hang_up(self) -> None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_: object) -> None:
            pass

    host = urlsplit(upstream).hostname or "127.0.0.1"
    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = True
    seen.at = f"http://{host}:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
