"""What the page plays and gives to take home. Names are looked up: no path from a request reaches the file system."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import HTTPException, Request, Response
from fastapi.responses import FileResponse

from jukebox_pl import audio
from jukebox_pl.errors import UserError
from jukebox_pl.report.song_page import PAGE
from jukebox_pl.studio.views import DOWNLOADS

if TYPE_CHECKING:
    from gradio.routes import App

    from jukebox_pl.studio.studio import Studio

TYPES = {".wav": "audio/wav", ".flac": "audio/flac", ".npz": "application/octet-stream", ".lrc": "text/plain"}
# Pages of songs may come from elsewhere with their session: they run apart from ours, and fetch nothing.
APART = {"Content-Security-Policy": "sandbox allow-scripts allow-downloads", "X-Content-Type-Options": "nosniff"}


def add_routes(app: App, studio: Studio) -> None:
    """Adds /songs/NAME/FILE and /sounds/TOKEN to gradio's app, behind its login where it has one."""

    def require_login(request: Request) -> None:
        cookies = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
        if app.auth is not None and not any(request.cookies.get(cookie) in app.tokens for cookie in cookies):
            raise HTTPException(401)

    def song(request: Request, name: str, file: str) -> Response:
        require_login(request)
        if file not in DOWNLOADS:
            raise HTTPException(404)
        try:
            path = studio.file(name, file)
            if file == "song.flac" and not path.exists():
                return Response(audio.encode(*audio.read(path.with_suffix(".wav"))), media_type=TYPES[".flac"])
        except (UserError, OSError, RuntimeError):
            raise HTTPException(404) from None
        return served(path)

    def sound(request: Request, token: str) -> Response:
        require_login(request)
        try:
            return served(studio.sounds[token].file)
        except KeyError:
            raise HTTPException(404) from None

    app.add_api_route("/songs/{name}/{file}", song, methods=["GET", "HEAD"])
    app.add_api_route("/sounds/{token}", sound, methods=["GET", "HEAD"])


def served(path: Path) -> Response:
    if not path.is_file():
        raise HTTPException(404)
    kind = "text/html" if path.name == PAGE else TYPES[path.suffix]
    return FileResponse(path, media_type=kind, headers=APART)
