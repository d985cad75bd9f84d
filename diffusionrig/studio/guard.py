"""Who may ask: pages of this very server that know its token. Everybody else is told so in one sentence."""

from __future__ import annotations

import hmac
import urllib.parse

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NAMES = ("127.0.0.1", "localhost")

POLICY = "; ".join([
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob: data:", "media-src 'self'",
    "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"])
"""The page may load nothing, and reach nobody, but this server."""

HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
           "Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store"}


class Guard:
    """Lets through what is addressed to this machine by name, comes from its own page, and begins with ``/TOKEN/``.

    A page elsewhere can send requests here from the same browser, by a name of its own that it lets point to this machine; it
    cannot hide that name (Host) or itself (Origin), and does not know the token.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._hosts = {f"{name}:{port}" for name in NAMES}
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        problem = self._problem(scope)
        if problem is None and scope["type"] == "http" and scope["path"] == f"/{self._token}":
            # Addresses on the page are relative to the folder.
            await RedirectResponse(f"/{self._token}/", headers=HEADERS)(scope, receive, send)
        elif problem is None:
            await self._app(self._within(scope), receive, self._with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": problem[1]})
        else:
            await PlainTextResponse(problem[1] + "\n", problem[0], headers=HEADERS)(scope, receive, send)

    def _problem(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        if headers.get("host", "") not in self._hosts:
            return 421, "This server answers to 127.0.0.1 and localhost alone."
        origin = headers.get("origin")
        if origin is not None and origin not in self._origins:
            return 403, "Only the studio's own page may ask this server."
        token = scope["path"].split("/")[1] if scope["path"].startswith("/") else ""
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            return 404, "There is nothing here; open the whole address that diffusionrig studio printed, with its token."
        return None

    def _within(self, scope: Scope) -> Scope:
        """The same request for what lies behind the token."""
        path = scope["path"][1 + len(self._token):]
        return {**scope, "path": path or "/", "raw_path": urllib.parse.quote(path or "/").encode()}

    def _with_headers(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        return sending
