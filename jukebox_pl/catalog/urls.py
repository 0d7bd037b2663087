"""Files that lie elsewhere, read from first byte to last however often the connection breaks.

http and https go through the standard library: a broken answer goes on from its last byte, and a file that changes meanwhile
is noticed. fsspec's HTTP reads in blocks and does neither. Other schemes (s3, gs, ...) go through fsspec, which needs a
package a scheme.
"""

from __future__ import annotations

import http.client
import io
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from jukebox_pl.errors import UserError

WAITS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # seconds between tries that bring not one byte
SILENCE_SECONDS = 60.0  # a connection that says nothing for so long is broken
BUFFER = 2**20
BUSY = (408, 425, 429)  # a timeout, too early, too many requests: the next try may do
TRANSIENT = (OSError, http.client.HTTPException)
LASTING = (FileNotFoundError, PermissionError, IsADirectoryError)


@dataclass(frozen=True)
class Url:
    """What readers of a catalog use of a pathlib.Path, for a URL."""

    text: str

    def __str__(self) -> str:
        return self.text

    def __truediv__(self, name: str) -> Url:
        return Url(f"{self.text}/{name}")

    @property
    def name(self) -> str:
        return self.text.rpartition("/")[2]

    @property
    def parent(self) -> Url:
        return Url(self.text.rpartition("/")[0])

    def open(self, mode: str = "rb") -> BinaryIO:
        """Reads whole or raises: UserError when it stays unreachable, FileNotFoundError when it is not there."""
        return io.BufferedReader(Remote(self.text), BUFFER)

    def read_bytes(self) -> bytes:
        with self.open() as file:
            return file.read()


Place = Path | Url


def to_place(name: str | Place) -> Place:
    """A URL where `name` is one, else a path."""
    if isinstance(name, str) and "://" in name:
        return Url(name.rstrip("/"))
    return name if isinstance(name, Url) else Path(name)


class Rest(NamedTuple):
    """The rest of a file from some byte on, the `size` of all of it (None: unknown), and what names this `version` of it."""

    stream: BinaryIO
    size: int | None
    version: str | None = None


class Remote(io.RawIOBase):
    """The bytes of a URL in order. Where the connection breaks or ends too early it goes on from there."""

    def __init__(self, url: str):
        self.url, self.position = url, 0
        self.rest: Rest | None = None
        self.first: Rest | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        for wait in (*WAITS, None):
            try:
                return self._read(buffer)
            except LASTING:
                raise
            except TRANSIENT as error:
                self._drop()
                if wait is None:
                    way_out = "see that it can be reached, and run it again"
                    raise UserError(f"{self.url} cannot be read ({error!r}, {len(WAITS) + 1} tries): {way_out}") from error
                time.sleep(wait * random.uniform(0.5, 1.0))  # many readers shall not all come back at once
        raise AssertionError("the last try returns or raises")

    def _read(self, buffer: Any) -> int:
        if self.rest is None:
            self.rest = OPENERS.get(self.url.partition("://")[0].lower(), open_with_fsspec)(self.url, self.position)
            self.first = self.first or self.rest
            if self.rest[1:] != self.first[1:]:
                raise UserError(f"{self.url} changed while it was read: run it again once it rests")
        stream = self.rest.stream
        data = getattr(stream, "read1", stream.read)(len(buffer))  # what has come so far is not lost with the connection
        if not data and self.rest.size is not None and self.position < self.rest.size:
            raise ConnectionError(f"cut after {self.position} of {self.rest.size} bytes")
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)

    def _drop(self) -> None:
        if self.rest:
            self.rest.stream.close()
        self.rest = None

    def close(self) -> None:
        self._drop()
        super().close()


def open_http(url: str, start: int) -> Rest:
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urlopen(request, timeout=SILENCE_SECONDS)
    except HTTPError as error:
        if error.code == 404:
            raise FileNotFoundError(f"{url} does not exist") from error
        if error.code >= 500 or error.code in BUSY:
            raise ConnectionError(f"HTTP {error.code} {error.reason}") from error
        raise UserError(f"{url} cannot be read: HTTP {error.code} {error.reason}") from error
    version = response.headers["ETag"] or response.headers["Last-Modified"]
    if response.status == 206:
        return Rest(response, int(response.headers["Content-Range"].rpartition("/")[2]), version)
    length = response.headers["Content-Length"]
    while start > 0:  # the server knows no ranges
        skipped = response.read(min(start, BUFFER))
        if not skipped:
            raise ConnectionError("cut again before the place of the last cut")
        start -= len(skipped)
    return Rest(response, int(length) if length else None, version)


def open_with_fsspec(url: str, start: int) -> Rest:
    import fsspec

    try:
        stream = fsspec.open(url, "rb").open()
    except ImportError as error:
        raise UserError(f"{url} cannot be read: {error}") from error
    except ValueError as error:
        raise UserError(f"{url} cannot be read ({error}): give a folder, http://, https:// or s3://") from error
    size = stream.seek(0, os.SEEK_END)
    stream.seek(start)
    return Rest(stream, size)


OPENERS: dict[str, Callable[[str, int], Rest]] = {"http": open_http, "https": open_http}
