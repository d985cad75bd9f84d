"""What all addresses of the studio have in common: bodies of a bounded size, plain names, errors as sentences."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import PurePosixPath
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from diffusionrig.errors import RigError, UsageError

Answer = Callable[[Request], Awaitable[Response]]


def told(answer: Answer) -> Answer:
    """``answer``, with errors as the sentence that the command line would say."""

    async def answering(request: Request) -> Response:
        try:
            return await answer(request)
        except RigError as error:
            return JSONResponse({"error": str(error)}, 400 if isinstance(error, UsageError) else 422)
        except ClientDisconnect:
            return Response(status_code=400)

    return answering


async def body_of(request: Request, most: int) -> bytes:
    """The body of a request; RigError as soon as it is known to have over ``most`` bytes."""
    problem = RigError(f"{file_name(request)} has more than the {most / 1e6:g} MB that can be handed over; shrink it, or edit "
                       "it with diffusionrig edit.")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length[:15]) > most:
        raise problem
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise problem
        parts.append(part)
    return b"".join(parts)


def file_name(request: Request) -> str:
    """The name that a file was handed over under: its last part, printable, and of no folder."""
    name = PurePosixPath(request.query_params.get("name", "").replace("\\", "/")).name
    plain = "".join(letter for letter in name if letter.isprintable() and letter not in '<>:"|?*')[-100:].strip()
    return plain if plain.strip(".") else "photograph"


def as_file(name: str) -> dict[str, str]:
    """Headers that let a browser keep an answer as a file."""
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
