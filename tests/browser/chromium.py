"""A headless Chromium, driven by its DevTools protocol: what a person sees and does."""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome")
SECONDS_TO_START = 60.0
SECONDS_TO_ANSWER = 60.0
# What it does of its own accord is not the page's.
QUIET = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


def executable():
    """Give the browser's path; the environment's word comes first."""
    named = os.environ.get("DPA_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        msg = "no Chromium: apt-get install chromium, or set DPA_CHROMIUM to its path"
        raise FileNotFoundError(msg)
    return found


class Page:
    """One tab; what it logs and asks for is kept."""

    def __init__(self, socket, session_id) -> None:
        self._socket = socket
        self._session_id = session_id
        self._answers = {}
        self._numbers = iter(range(1, 1_000_000))
        self._loaded = asyncio.Event()
        self.said = []
        self.requested = []

    async def listen(self):
        async for message in self._socket:
            self._take(json.loads(message.data))

    def _take(self, message):
        match message:
            case {"id": number}:
                answer = self._answers.pop(number)
                if not answer.done():
                    answer.set_result(message)
            case {"method": "Runtime.consoleAPICalled", "params": words}:
                self.said.append(("console", words["type"], words["args"]))
            case {"method": "Runtime.exceptionThrown", "params": words}:
                self.said.append(("exception", words["exceptionDetails"]))
            case {"method": "Log.entryAdded", "params": {"entry": entry}}:
                self.said.append(("log", entry))
            case {"method": "Network.requestWillBeSent", "params": words}:
                self.requested.append(words["request"]["url"])
            case {"method": "Page.loadEventFired"}:
                self._loaded.set()
            case _:
                pass

    async def call(self, method, **params):
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params}
        if self._session_id is not None:
            message["sessionId"] = self._session_id
        await self._socket.send_json(message)
        async with asyncio.timeout(SECONDS_TO_ANSWER):
            answered = await answer
        assert "error" not in answered, (method, answered["error"])
        return answered["result"]

    async def attach(self):
        """Open a tab and follow all that it says."""
        tab = await self.call("Target.createTarget", url="about:blank")
        words = {"targetId": tab["targetId"], "flatten": True}
        self._session_id = (await self.call("Target.attachToTarget", **words))[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")

    async def look_at(self, url):
        self._loaded.clear()
        self.requested.clear()
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(SECONDS_TO_ANSWER):
            await self._loaded.wait()

    async def window(self, width, height=900, *, dark=False, paper=False):
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        scheme = {
            "name": "prefers-color-scheme",
            "value": "dark" if dark else "light",
        }
        media = "print" if paper else ""
        await self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])

    async def evaluate(self, expression):
        given = await self.call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
        )
        assert "exceptionDetails" not in given, given["exceptionDetails"]
        return given["result"].get("value")

    async def place(self, selector):
        """Scroll to an element and give its middle."""
        x, y = await self.evaluate(
            f"""(() => {{
                const node = document.querySelector({json.dumps(selector)});
                node.scrollIntoView({{block: "center", behavior: "instant"}});
                const box = node.getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"""
        )
        await self.frame()
        return x, y

    async def frame(self):
        """Wait until what was done is drawn."""
        await self.evaluate(
            "new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
        )

    async def point_at(self, selector):
        x, y = await self.place(selector)
        await self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        await self.frame()

    async def click(self, selector):
        x, y = await self.place(selector)
        mouse = {"x": x, "y": y, "button": "left", "clickCount": 1}
        await self.call("Input.dispatchMouseEvent", type="mousePressed", **mouse)
        await self.call("Input.dispatchMouseEvent", type="mouseReleased", **mouse)
        await self.frame()

    async def type(self, text):
        await self.call("Input.insertText", text=text)
        await asyncio.sleep(0.2)  # it waits for the end of the word
        await self.frame()

    async def press(self, key, code=None, text=None):
        keys = {"key": key, "code": code or key, "windowsVirtualKeyCode": CODES[key]}
        typed = {"text": text} if text else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **keys, **typed)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **keys)
        await self.frame()

    async def text(self, selector):
        return await self.evaluate(
            f"document.querySelector({json.dumps(selector)})?.innerText"
        )

    async def picture(self, *, whole=True, clip=None):
        """Give a PNG of the page, or of what the window shows, or of a part of it."""
        part = {}
        if clip is not None:
            names = ("x", "y", "width", "height")
            part = {"clip": {**dict(zip(names, clip, strict=True)), "scale": 1}}
        shot = await self.call(
            "Page.captureScreenshot", captureBeyondViewport=whole, **part
        )
        return base64.b64decode(shot["data"])

    async def paper(self):
        """Give the PDF that printing makes."""
        printed = await self.call("Page.printToPDF", preferCSSPageSize=True)
        return base64.b64decode(printed["data"])


CODES = {"Tab": 9, "Enter": 13, " ": 32, "Escape": 27}


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Page]:
    """Start a browser of our own, with a profile that goes with it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            executable(),
            *QUIET,
            f"--user-data-dir={profile}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            url = await _address(process, Path(profile, "DevToolsActivePort"))
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(url, max_msg_size=0) as socket,
            ):
                page = Page(socket, None)
                listening = asyncio.create_task(page.listen())
                try:
                    await page.attach()
                    yield page
                finally:
                    listening.cancel()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _address(process, file):
    async with asyncio.timeout(SECONDS_TO_START):
        while True:
            with contextlib.suppress(FileNotFoundError, ValueError):
                port, path = file.read_text(encoding="utf-8").split()
                return f"ws://127.0.0.1:{port}{path}"
            assert process.returncode is None, "the browser did not start"
            await asyncio.sleep(0.05)
