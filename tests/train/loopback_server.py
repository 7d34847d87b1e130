"""A web server on this machine that answers as a test tells it to."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Gives the server's next answer, or its last one again."""

    server: "Server"

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.requests.append((self.path, self.headers.get("Range")))
            answer = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        answer(self)

    def log_message(self, *_: object) -> None:
        pass

    def send(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.server.sent.append(status)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Answers one by one."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Answer] = []
        self.requests: list[tuple[str, str | None]] = []
        self.sent: list[int] = []
        self.lock = threading.Lock()


def whole(body: bytes) -> Answer:
    return lambda handler: handler.send(200, body)


def half(body: bytes) -> Answer:
    """The connection ends after half of what was promised."""
    return lambda handler: handler.send(200, body[: len(body) // 2], len(body), ETag='"1"')


def rest(body: bytes, tag: str = '"1"') -> Answer:
    """What is asked for of the version ``tag``, as RFC 9110 has it."""

    def answer(handler: Handler) -> None:
        asked = handler.headers.get("Range")
        if asked is None or handler.headers.get("If-Range") != tag:
            handler.send(200, body, ETag=tag)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        handler.send(206, body[start:], ETag=tag, Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")

    return answer


def status(code: int) -> Answer:
    return lambda handler: handler.send_error(code)
