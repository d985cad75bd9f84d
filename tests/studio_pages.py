"""The studio behind its token, asked without a browser, and pages of it."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from diffusionrig.studio.outbox import unframed

TOKEN, PORT = "right-token", 7860
PORTRAIT = Path(__file__).resolve().parents[1] / "diffusionrig" / "assets" / "portrait.jpg"


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


BAD = {
    "empty": (b"", "empty"),
    "text": (b"this is no picture at all, but a text", "not an image"),
    "page": (b"<!doctype html><html><body>Not found</body></html>", "web page"),
    "cut off": (PORTRAIT.read_bytes()[:9000], "damaged"),
    "nobody": (png(np.full((200, 300, 3), 90, np.uint8)), "no face was found"),
    "huge": (png(np.zeros((2500, 2500, 3), np.uint8)), "6.2 megapixels"),
}
"""Photographs that are none, or hold no face, with words of the sentence that says so."""


class Page:
    """An open page: messages out, and everything that has come in."""

    def __init__(self, socket):
        self.socket = socket
        self.texts, self.frames = [], []

    def say(self, **message):
        self.socket.send_text(json.dumps(message))

    def edit(self, number=1, **groups):
        self.say(type="edit", n=number, preset={"kind": "diffusionrig preset", **groups})

    def receive(self):
        message = self.socket.receive()
        if message.get("text") is not None:
            self.texts.append(json.loads(message["text"]))
            return self.texts[-1]
        assert message.get("bytes") is not None, message
        self.frames.append(unframed(message["bytes"]))
        return {"type": "frame", **self.frames[-1][0]}

    def until(self, **wanted):
        """The next message that has these values."""
        for _ in range(500):
            message = self.receive()
            if all(message.get(key) == value for key, value in wanted.items()):
                return message
        raise AssertionError(f"no message with {wanted}")


class Studio:
    """The studio behind its token, and pages of it."""

    def __init__(self, client, session):
        self.client, self.session = client, session

    def get(self, path, **options):
        return self.client.get(f"/{TOKEN}/{path}", **options)

    def post(self, path, data=b"", **options):
        return self.client.post(f"/{TOKEN}/{path}", content=data, **options)

    def photograph(self, data=None, name="me.jpg"):
        answer = self.post(f"api/photo?name={name}", PORTRAIT.read_bytes() if data is None else data)
        assert answer.status_code == 200, answer.text
        return answer

    @contextlib.contextmanager
    def page(self, **options):
        with self.client.websocket_connect(f"ws://127.0.0.1:{PORT}/{TOKEN}/socket", **options) as socket:
            yield Page(socket)
