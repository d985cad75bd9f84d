"""Serving the studio: a socket on this machine alone, an address with a token, until interrupted."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Callable

from diffusionrig.errors import UsageError
from diffusionrig.studio.session import Session

HOST = "127.0.0.1"
MOST_MESSAGE = 256 * 1024
"""Bytes of one message of a page."""


def bound(port: int) -> socket.socket:
    """A socket bound to ``port`` of this machine, or to any free one for 0; UsageError when it is taken."""
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port} does not exist; choose one up to 65535, or 0 for any that is free.")
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise UsageError(f"The port {port} cannot be had ({error.strerror}); another studio may run there. Choose another --port, "
                         "or 0 for any that is free.") from error
    return listening


def serve(session: Session, listening: socket.socket, opened: Callable[[str], None]) -> None:
    """Serve the studio on ``listening`` until it is interrupted; ``opened`` is told the address before."""
    import uvicorn

    from diffusionrig.studio.app import make_app

    token, port = secrets.token_urlsafe(18), listening.getsockname()[1]
    settings = uvicorn.Config(make_app(session, token, port), log_level="warning", ws="websockets-sansio", ws_max_size=MOST_MESSAGE,
                              server_header=False, timeout_graceful_shutdown=2, lifespan="on",
                              # Pictures are compressed already, and the way to this machine is short.
                              ws_per_message_deflate=False)
    # Whoever reads the address may go there at once.
    listening.listen()
    opened(f"http://{HOST}:{port}/{token}/")
    # Ctrl-C is how it is meant to end.
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(settings).run(sockets=[listening])

