"""A headless Chromium, driven over its DevTools protocol: no package beyond ``websockets``, which the studio needs anyway."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--no-default-browser-check",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio", "--hide-scrollbars",
         "--remote-debugging-port=0")


def find_chromium() -> str | None:
    """The browser of this machine; None without one."""
    return os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """One browser with one page; ``flags`` beside the usual ones."""

    def __init__(self, width: int = 1440, height: int = 900, flags: Sequence[str] = (), patience: float = 60.0) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        self.downloads = Path(self._folder.name, "downloads")
        self.downloads.mkdir()
        self.patience = patience
        self._process = subprocess.Popen(
            [find_chromium() or "chromium", *FLAGS, f"--user-data-dir={self._folder.name}", *flags, "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            port = self._port()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=patience) as answer:
                target = next(entry for entry in json.load(answer) if entry["type"] == "page")
            self._socket = connect(target["webSocketDebuggerUrl"], max_size=None)
            self._count = 0
            self.events: list[dict[str, Any]] = []
            for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
                self.call(f"{domain}.enable")
            self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))
            self.resize(width, height)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the browser and all of its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._folder.cleanup()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=self.patience))
            if message.get("id") == self._count:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def open(self, address: str) -> None:
        """Go to a page."""
        self.call("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script}: {result['exceptionDetails'].get('exception', result['exceptionDetails'])}")
        return result["result"].get("value")

    def wait(self, script: str, patience: float | None = None) -> Any:
        """Wait until a JavaScript expression is true, and return its value."""
        return self.until(lambda: self.run(script), script, patience)

    def until(self, test: Callable[[], Any], what: str, patience: float | None = None) -> Any:
        """Wait until ``test`` is true; TimeoutError tells what the page says of itself by then."""
        end = time.monotonic() + (patience or self.patience)
        while not (value := test()):
            if time.monotonic() > end:
                state = self.run("JSON.stringify({...document.body?.dataset})")
                raise TimeoutError(f"{what} did not come true; {state} {self.complaints()}")
            time.sleep(0.1)
        return value

    def resize(self, width: int, height: int, scale: float = 1.0, mobile: bool = False) -> None:
        """The size of the page in CSS pixels, and how many pixels of the screen each is."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile)

    def dark(self, yes: bool) -> None:
        """Prefer a dark page, or a light one."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if yes else "light"}])

    def hand_over(self, selector: str, *files: Path) -> None:
        """Choose files in a file input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def drop(self, file: Path, x: float, y: float) -> None:
        """Drag a file from the desktop onto the page and let it go."""
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 8, release: bool = True) -> None:
        """Press, move and release the mouse."""
        self.mouse("mouseMoved", *start, buttons=0)
        self.mouse("mousePressed", *start)
        for step in range(1, steps + 1):
            self.mouse("mouseMoved", *(a + (b - a) * step / steps for a, b in zip(start, end)))
        if release:
            self.mouse("mouseReleased", *end)

    def mouse(self, kind: str, x: float, y: float, buttons: int = 1, clicks: int = 1) -> None:
        """One event of the mouse."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left" if buttons else "none", buttons=buttons,
                  clickCount=clicks)

    def key(self, key: str, code: str = "", number: int = 0, modifiers: int = 0) -> None:
        """Press and release a key; ``modifiers``: 2 control, 8 shift."""
        values = {"key": key, "code": code or key, "windowsVirtualKeyCode": number, "modifiers": modifiers}
        text = {"text": key} if len(key) == 1 and not modifiers & 2 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **values, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **values)

    def middle(self, selector: str) -> tuple[float, float]:
        """The middle of an element, in CSS pixels of the window, after it was brought into view."""
        box = self.run(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
                       " const b = e.getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]; })()")
        return box[0], box[1]

    def picture(self, path: Path | None = None) -> bytes:
        """The page as a PNG."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        if path is not None:
            path.write_bytes(data)
        return data

    def requests(self) -> list[str]:
        """Every address that was asked for."""
        self.call("Runtime.evaluate", expression="1")
        return [event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"] + [
            event["params"]["url"] for event in self.events if event["method"] == "Network.webSocketCreated"]

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, and exceptions."""
        self.call("Runtime.evaluate", expression="1")
        found = []
        for event in self.events:
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(event["params"]["exceptionDetails"])[:500])
            elif event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] in {"error", "warning", "assert"}:
                found.append(json.dumps(event["params"]["args"])[:500])
            elif event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] in {"error", "warning"}:
                found.append(json.dumps(event["params"]["entry"])[:500])
        return found

    def _port(self) -> int:
        place, end = Path(self._folder.name, "DevToolsActivePort"), time.monotonic() + self.patience
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise RuntimeError(f"The browser ended with status {self._process.returncode}.")
            if place.exists() and (lines := place.read_text().splitlines()):
                return int(lines[0])
            time.sleep(0.1)
        raise TimeoutError("The browser did not come up.")
