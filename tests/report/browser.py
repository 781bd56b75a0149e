"""A real, headless browser, driven over its debugging port: what a page does in it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tornado.websocket import WebSocketClientConnection, websocket_connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
START = 90.0
"""Seconds that a browser may take to start on a busy machine."""
LOOK = """({
  images: [...document.images].map(i => [i.complete, i.naturalWidth]),
  scripts: document.scripts.length,
  handlers: [...document.querySelectorAll('*')].filter(
    e => [...e.attributes].some(a => a.name.startsWith('on'))).length,
  wide: document.documentElement.scrollWidth, window: innerWidth,
  title: document.title, text: document.body.innerText,
  tall: [...document.images].every(i => i.getBoundingClientRect().height > 20),
  anchors: [...document.querySelectorAll('a[href^="#"]')].filter(
    a => !document.getElementById(a.getAttribute('href').slice(1))).length
})"""


@dataclass
class Seen:
    """What a browser says of a page at one width."""

    page: dict[str, Any]
    requests: list[str] = field(default_factory=list)
    """Every address it asked for, but the page itself and what the page holds."""
    console: list[str] = field(default_factory=list)


@contextmanager
def started() -> Iterator[str]:
    """Start a browser and give the address of its debugging port; skip where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        if os.environ.get("ZEO_REQUIRE_ALL"):
            pytest.fail("ZEO_REQUIRE_ALL is set and no Chromium is installed")
        pytest.skip("no Chromium or Chrome is installed: the page was not looked at in a browser")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [
            found, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-extensions", "--disable-dev-shm-usage", "--remote-debugging-port=0",
            f"--user-data-dir={folder}", "about:blank",
        ]  # fmt: skip
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield f"http://127.0.0.1:{_port(Path(folder) / 'DevToolsActivePort', browser)}"
        finally:
            browser.terminate()
            try:
                browser.wait(20)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait()


def _port(file: Path, browser: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + START
    while time.monotonic() < end and browser.poll() is None:
        if file.is_file() and (lines := file.read_text(encoding="utf-8").splitlines()):
            return int(lines[0])
        time.sleep(0.1)
    pytest.skip("the browser that is installed does not start here")


def look(address: str, page: Path, width: int) -> Seen:
    """Open a page at a width, and say what happened until everything was loaded."""
    return _run(_look(address, page, width))


def _run(what: Coroutine[Any, Any, Seen]) -> Seen:
    return asyncio.run(what)


async def _look(address: str, page: Path, width: int) -> Seen:
    asked = urllib.request.Request(f"{address}/json/new?about:blank", method="PUT")  # noqa: S310
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
        target = json.load(answer)
    socket = await websocket_connect(target["webSocketDebuggerUrl"], max_message_size=1 << 27)
    try:
        return await _looked(socket, page, width)
    finally:
        socket.close()
        while await socket.read_message() is not None:
            pass


async def _looked(socket: WebSocketClientConnection, page: Path, width: int) -> Seen:
    seen, number = Seen({}), 0

    async def call(method: str, **parameters: Any) -> dict[str, Any]:
        nonlocal number
        number += 1
        await socket.write_message(
            json.dumps({"id": number, "method": method, "params": parameters})
        )
        return await until(lambda m: m.get("id") == number)

    async def until(wanted: Any) -> dict[str, Any]:
        while True:
            told = await asyncio.wait_for(socket.read_message(), 60)
            assert told is not None, "the browser closed the connection"
            message: dict[str, Any] = json.loads(told)
            _note(seen, message, page)
            if wanted(message):
                return message

    for domain in ("Network", "Log", "Runtime", "Page"):
        await call(f"{domain}.enable")
    await call("Emulation.setDeviceMetricsOverride", width=width, height=900,
               deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
    await call("Page.navigate", url=page.resolve().as_uri())
    await until(lambda m: m.get("method") == "Page.loadEventFired")
    found = await call("Runtime.evaluate", expression=LOOK, returnByValue=True)
    seen.page = found["result"]["result"]["value"]
    return seen


def _note(seen: Seen, message: dict[str, Any], page: Path) -> None:
    method, told = message.get("method"), message.get("params", {})
    if method == "Network.requestWillBeSent":
        url = told["request"]["url"]
        if url != page.resolve().as_uri() and not url.startswith("data:"):
            seen.requests.append(url)
    elif method == "Log.entryAdded":
        seen.console.append(told["entry"]["text"])
    elif method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
        seen.console.append(json.dumps(told)[:300])
