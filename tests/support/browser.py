"""A real browser without a window, driven over a pipe (Chromium's --remote-debugging-pipe): standard library only."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .processes import PATIENCE, start

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"),
)
# Chromium reads from descriptor 3 and writes to 4.
_START = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
os.dup2(pipes[0], 3), os.dup2(pipes[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
_CODES = {" ": 32, "Enter": 13, "Escape": 27, "End": 35, "Home": 36, "ArrowUp": 38, "ArrowDown": 40}


class Browser:
    """One tab. What goes wrong in the page's scripts is in ``errors``."""

    def __init__(self, profile: Path, width: int = 1440, height: int = 900) -> None:
        self._flags = [*_FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"]
        self._opened = ExitStack()
        self._number, self._rest, self._session = 0, b"", ""
        self.errors: list[str] = []

    def __enter__(self) -> Self:
        with self._opened:
            self._start()
            self._attach()
            self._opened = self._opened.pop_all()
        return self

    def _start(self) -> None:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        streams = {"pass_fds": (theirs_in, theirs_out), **dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)}
        command = ("-c", _START, str(theirs_in), str(theirs_out), str(CHROMIUM), *self._flags)
        for ours in (self._in, self._out):
            self._opened.callback(os.close, ours)
        self._process = self._opened.enter_context(start(*command, **streams))
        os.close(theirs_in)
        os.close(theirs_out)

    def _attach(self) -> None:
        (tab,) = (found for found in self.call("Target.getTargets")["targetInfos"] if found["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=tab["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for part in ("Page", "Runtime", "Log"):
            self.call(f"{part}.enable")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._opened, suppress(Exception):
            self._session = ""
            self.call("Browser.close")
            self._process.wait(PATIENCE)

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the DevTools protocol and return its result."""
        number = self._send(method, **parameters)
        while (answer := self._next()).get("id") != number:
            self._note(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _send(self, method: str, **parameters: Any) -> int:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        return self._number

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            if not select.select([self._in], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            part = os.read(self._in, 2**20)
            if not part:
                raise EOFError("the browser has ended")
            self._rest += part
        line, self._rest = self._rest.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(event["params"]["exceptionDetails"]))
        elif event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
            self.errors.append(event["params"]["entry"]["text"])
        elif event.get("method") != "Page.javascriptDialogOpening":
            return
        elif event["params"]["type"] == "beforeunload":
            self._send("Page.handleJavaScriptDialog", accept=True)
        else:
            self.errors.append(f"a dialog opened: {event['params']['message']}")

    def open(self, page: Path | str) -> None:
        """Open a file or an address and wait until it is all there."""
        address = page.as_uri() if isinstance(page, Path) else page
        self.call("Page.navigate", url=address)
        self.wait(f"document.readyState === 'complete' && location.protocol === '{address.partition(':')[0]}:'")

    def ask(self, expression: str) -> Any:
        """Return the value of an expression in the page; promises are waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + PATIENCE
        while not self.ask(f"Boolean({expression})"):
            assert time.monotonic() < until, f"never came true: {expression}"
            time.sleep(0.02)

    def press(self, *keys: str) -> None:
        """Press keys one after another, as a person does."""
        for key in keys:
            facts = {"key": key, "windowsVirtualKeyCode": _CODES.get(key, ord(key[0].upper()))}
            text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
            self.call("Input.dispatchKeyEvent", type="keyDown", **facts, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", **facts)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Move, press, release or wheel the mouse (``kind`` as in Input.dispatchMouseEvent)."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def screenshot(self, path: Path) -> None:
        """Write what is shown as a PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
