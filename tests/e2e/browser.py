"""A headless Chromium, driven over the Chrome DevTools protocol: find what a person sees, click, type."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import urllib3
import websocket

from containers.embedded.ports import LOOPBACK
from containers.embedded.service import Service

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60.0
"""Seconds in which a page must show what is looked for: it shares its processor with all of Airflow."""
POLL = 0.1

_OPTIONS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--window-size=1280,1000",
    "--lang=en-US",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # a container's is small, and a page that finds it full crashes
    "--no-first-run",
    # Whatever it would like to fetch for itself: no name resolves, and so nothing leaves this machine.
    "--disable-background-networking",
    f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {LOOPBACK}",
    "--no-proxy-server",
)

_FIND = """
(({css, text}) => {
    for (const found of document.querySelectorAll(css)) {
        const said = found.innerText || found.getAttribute("aria-label") || "";
        const box = found.getBoundingClientRect();
        if ((text === null || said.trim() === text) && box.width && box.height && !found.disabled) return found;
    }
})
"""
"""The first element that can be seen and used, with just that text if one is given."""

_MIDDLE = """
found => {
    found.scrollIntoView({block: "center"});
    const box = found.getBoundingClientRect();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const top = document.elementFromPoint(x, y);
    return found.contains(top) || top?.contains(found) ? [x, y] : null;
}
"""
"""Where an element can be clicked; null while something lies over it."""


def find_chromium(deadline: float = 30.0) -> str | None:
    """The program of an installed Chromium; None where there is none that tells its version in ``deadline`` seconds.

    Ubuntu's ``chromium-browser`` may be a script that only says to install a snap.
    """
    return next((program for program in filter(None, map(shutil.which, NAMES)) if _runs(program, deadline)), None)


def _runs(program: str, deadline: float) -> bool:
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        return subprocess.run([program, "--version"], timeout=deadline, check=False, **quiet).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


class Refused(Exception):
    """The browser could not do what it was told."""


class Browser:
    """One page of a Chromium of its own, whose profile and log lie in ``folder``; ``with`` ends its whole tree."""

    def __init__(self, program: str, folder: Path) -> None:
        self._folder = folder
        self._door = folder / "profile" / "DevToolsActivePort"
        # A sandbox wants what root does not get in a container; the pages are those of our own server.
        root = ("--no-sandbox",) if os.geteuid() == 0 else ()
        self._service = Service(
            "Chromium",
            [program, *_OPTIONS, *root, f"--user-data-dir={self._door.parent}", "about:blank"],
            log=folder / "chromium.log",
            env={**os.environ, "HOME": str(folder)},  # where else it keeps things
            ready=self._is_open,
            deadline=PATIENCE,
            grace=3,
        )
        self._socket: websocket.WebSocket | None = None
        self._calls = 0

    def open(self, url: str) -> None:
        """Go to a page."""
        went = self._call("Page.navigate", url=url)
        assert "errorText" not in went, f"{url}: {went['errorText']}"

    def click(self, css: str, text: str | None = None) -> None:
        """Press the first element of ``css`` that can be used and says just ``text``, once nothing covers it."""
        x, y = self._await(css, text, _MIDDLE)
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def write(self, css: str, words: str) -> None:
        """Put ``words`` into the field ``css``, as from a keyboard."""
        self.click(css)
        self._call("Input.insertText", text=words)

    def see(self, css: str, text: str | None = None) -> None:
        """Wait until an element of ``css`` can be seen that says just ``text``."""
        self._await(css, text, "() => true")

    def _await(self, css: str, text: str | None, use: str) -> Any:
        """What the function ``use`` makes of the element, once that is true."""
        script = f"(found => found && ({use})(found))({_FIND}({json.dumps({'css': css, 'text': text})}))"
        end = time.monotonic() + PATIENCE
        while not (value := self._look(script)):
            if time.monotonic() > end:
                raise AssertionError(f"not within {PATIENCE:.0f} s: {css} {text or ''}, but {self._picture()}")
            time.sleep(POLL)
        return value

    def _look(self, script: str) -> Any:
        try:
            return self._evaluate(script)
        except Refused:  # the page goes over to another just now
            return None

    def _picture(self) -> str:
        """What the page says, and where a picture of it is now."""
        path = self._folder / "page.png"
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot")["data"]))
        return f"{path}:\n{self._evaluate('document.body.innerText')}"

    def _evaluate(self, script: str) -> Any:
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def _call(self, method: str, **parameters: object) -> Any:
        assert self._socket is not None, "the browser is not running"
        self._calls += 1
        self._socket.send(json.dumps({"id": self._calls, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._calls:  # all else are events, of which none is asked for
                if "error" in answer:
                    raise Refused(f"{method}: {answer['error']}")
                return answer["result"]

    def _is_open(self) -> bool:
        return bool(self._door.exists() and self._door.read_text())

    def __enter__(self) -> Self:
        self._service.__enter__()
        try:
            port = self._door.read_text().splitlines()[0]
            pages = urllib3.request("GET", f"http://{LOOPBACK}:{port}/json/list", timeout=PATIENCE).json()
            (page,) = [each for each in pages if each["type"] == "page"]
            self._socket = websocket.create_connection(
                page["webSocketDebuggerUrl"], timeout=PATIENCE, suppress_origin=True
            )
        except BaseException:
            self._service.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            self._socket.close()
        self._service.stop()
