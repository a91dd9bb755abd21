"""The way to the server: requests, second tries, bodies with files, streams of events."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from .errors import ApiError, ConnectionFailed, error_class
from .types import FieldError

#: What another try may get past.
PASSING = frozenset({429, 500, 502, 503, 504})
#: The longest wait between two tries, in seconds.
LONGEST_WAIT = 16.0

#: What says that a line broke.
BROKEN = (OSError, http.client.HTTPException)

_CHUNK = 64 * 1024


class Body(NamedTuple):
    """A body that can be sent more than once."""

    content_type: str
    length: int
    chunks: Callable[[], Iterator[bytes]]


class Event(NamedTuple):
    """One event of a stream."""

    id: str | None
    data: str


class Transport:
    """Speaks to one server with one key."""

    def __init__(self, base: str, api_key: str, timeout: float, retries: int) -> None:
        self._base = base
        self._api_key = api_key
        self._timeout = timeout
        self._retries = retries

    def open(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        repeatable: bool = True,
    ) -> IO[bytes]:
        """The answer, once there is one that is no error. Tries again what may pass, where that does no harm."""
        wait = 1.0
        for attempt in range(self._retries + 1):
            last = attempt == self._retries or not repeatable
            try:
                return self._open_once(method, path, headers or {}, body)
            except ApiError as error:
                in_flight = error.code == "IDEMPOTENCY_IN_FLIGHT"
                if last or not (error.status in PASSING or in_flight):
                    raise
                pause = wait if error.retry_after is None else error.retry_after
            except BROKEN as source:
                if last:
                    raise ConnectionFailed(f"{method} {self._base}{path}: {source}") from source
                pause = wait
            time.sleep(min(pause, LONGEST_WAIT))
            wait *= 2
        raise AssertionError("the last attempt returns or raises")

    def json(self, method: str, path: str, **options: Any) -> Any:
        """The answer as JSON."""
        with self.open(method, path, **options) as answer:
            try:
                return json.load(answer)
            except (*BROKEN, ValueError) as source:
                raise ConnectionFailed(f"{method} {self._base}{path}: {source}") from source

    def _open_once(self, method: str, path: str, headers: Mapping[str, str], body: Body | None) -> IO[bytes]:
        url = path if path.startswith(("http://", "https://")) else f"{self._base}{path}"
        request = urllib.request.Request(url, method=method)
        if url.startswith(self._base):
            request.add_header("Authorization", f"Bearer {self._api_key}")
        for name, value in headers.items():
            request.add_header(name, value)
        if body is not None:
            request.data = body.chunks()
            request.add_header("Content-Type", body.content_type)
            request.add_header("Content-Length", str(body.length))
        try:
            answer: IO[bytes] = urllib.request.urlopen(request, timeout=self._timeout)
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error) from None
        return answer


def _refusal(error: urllib.error.HTTPError) -> ApiError:
    try:
        told = json.loads(error.read())
    except (*BROKEN, ValueError):
        told = None
    told = told if isinstance(told, dict) else {}
    fields: list[FieldError] = told.get("errors", [])
    after = error.headers.get("Retry-After", "")
    return error_class(error.code)(
        error.code,
        told.get("code", ""),
        told.get("message", f"the server answered {error.code}"),
        fields,
        error.headers.get("X-Request-Id"),
        float(after) if after.isdigit() else None,
    )


def json_body(value: Any) -> Body:
    """A body of JSON."""
    text = json.dumps(value).encode()
    return Body("application/json", len(text), lambda: iter([text]))


def form_body(members: Mapping[str, Any], files: Mapping[str, Sequence[Path]]) -> Body:
    """A multipart body. Files are read as they are sent, so that they may be of any size."""
    boundary = secrets.token_hex(16)
    parts: list[bytes | Path] = []

    def add(name: str, head: str, content: bytes | Path) -> None:
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{head}\r\n\r\n'.encode())
        parts.append(content)
        parts.append(b"\r\n")

    for name, value in members.items():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if item is not None:
                text = item if isinstance(item, str) else json.dumps(item)
                add(name, "", text.encode())
    for name, paths in files.items():
        for path in paths:
            shown = "".join(c for c in path.name if c.isprintable() and c not in '"\\')
            add(name, f'; filename="{shown or "file"}"\r\nContent-Type: application/octet-stream', path)
    parts.append(f"--{boundary}--\r\n".encode())

    def chunks() -> Iterator[bytes]:
        for part in parts:
            if isinstance(part, bytes):
                yield part
                continue
            with part.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk

    length = sum(len(part) if isinstance(part, bytes) else os.stat(part).st_size for part in parts)
    return Body(f"multipart/form-data; boundary={boundary}", length, chunks)


def read_events(stream: IO[bytes]) -> Iterator[Event | None]:
    """The events of a stream, until it ends or breaks off. `None` stands for a sign of life without an event."""
    number: str | None = None
    lines: list[str] = []
    while line := stream.readline():
        text = line.decode().rstrip("\r\n")
        if not text:
            if lines:
                yield Event(number, "\n".join(lines))
            lines = []
            continue
        if text.startswith(":"):
            yield None
            continue
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            lines.append(value)
        elif name == "id":
            number = value


def copy(source: IO[bytes], target: IO[bytes]) -> int:
    """Copies to the end; the number of bytes."""
    total = 0
    while chunk := source.read(_CHUNK):
        target.write(chunk)
        total += len(chunk)
    return total
