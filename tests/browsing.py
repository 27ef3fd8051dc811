"""A headless Chromium that a test drives from its event loop, by browsing.js. Needs Node and Chromium.

async with Browser() as browser:
    tab = await browser.open("http://127.0.0.1:8000/")
    await tab.press("Tab", "Enter")
    assert await tab.until("document.title")
"""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE, Process
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Final

_SCRIPT: Final = Path(__file__).with_name("browsing.js")
_LONGEST_LINE: Final = 1 << 26
_TEXTS: Final = {"Enter": "\r", "Space": " "}
_KEYS: Final = {"Space": " "}


class Browser:
    """One browser, without anything of another one's storage."""

    def __init__(self) -> None:
        self._ids = count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def __aenter__(self) -> Browser:
        self._process: Process = await asyncio.create_subprocess_exec(
            "node", str(_SCRIPT), stdin=PIPE, stdout=PIPE, limit=_LONGEST_LINE
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._reading

    async def open(self, url: str, *, before: str = "") -> Tab:
        """Open a page in a tab of its own.

        Args:
            url: of the page.
            before: a script that runs in it before its own.
        """
        tab = Tab(self, next(self._ids))
        await tab.ask(open="about:blank")
        # What only takes time is left out.
        calm = {"name": "prefers-reduced-motion", "value": "reduce"}
        await tab.call("Emulation.setEmulatedMedia", features=[calm])
        if before:
            await tab.call("Page.addScriptToEvaluateOnNewDocument", source=before)
        await tab.ask(go=url)
        return tab

    async def ask(self, request: dict[str, Any]) -> Any:
        """Send a request; returns the reply."""
        number = next(self._ids)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, **request}).encode() + b"\n")
        return await self._waiting[number]

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            reply = json.loads(line)
            waiting = self._waiting.pop(reply["id"])
            if not waiting.done():
                waiting.set_result(reply)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError("the browser has ended"))


class Tab:
    """One page.

    Attributes:
        complaints: what it logged as an error, was denied by its policy, or threw.
    """

    def __init__(self, browser: Browser, name: int) -> None:
        self._browser = browser
        self._name = name
        self.complaints: list[str] = []

    async def ask(self, **request: Any) -> Any:
        """Send a request of browsing.js about this tab; returns its value."""
        reply = await self._browser.ask({"tab": self._name, **request})
        self.complaints = reply["complaints"]
        if "error" in reply:
            raise AssertionError(reply["error"])
        return reply["value"]

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page, or of the promise that it is."""
        return await self.ask(evaluate=expression)

    async def until(self, expression: str) -> Any:
        """Wait until an expression is true, looking again after every change of the page; returns its value.

        A change is one of the document, of what has the focus, or of the address.
        """
        return await self.evaluate(
            f"""new Promise((resolve) => {{
              const look = () => {{
                const found = ({expression});
                if (found) resolve(found), watch.disconnect(), done.abort();
              }};
              const watch = new MutationObserver(look);
              const done = new AbortController();
              watch.observe(document, {{ subtree: true, childList: true, attributes: true, characterData: true }});
              for (const event of ['focusin', 'focusout', 'hashchange'])
                addEventListener(event, () => setTimeout(look), {{ signal: done.signal }});
              look();
            }})"""
        )

    async def call(self, method: str, **params: Any) -> Any:
        """Call a method of the DevTools protocol."""
        return await self.ask(call=method, params=params)

    async def reload(self) -> None:
        """Load the page again."""
        await self.ask(go="")

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other: "Tab", "Space", "Enter" and "ArrowDown", as KeyboardEvent.code has them."""
        for code in keys:
            key = {"key": _KEYS.get(code, code), "code": code, "windowsVirtualKeyCode": _CODES[code]}
            text = {"text": _TEXTS[code]} if code in _TEXTS else {}
            await self.call("Input.dispatchKeyEvent", type="keyDown", **key, **text)
            await self.call("Input.dispatchKeyEvent", type="keyUp", **key)

    async def close(self) -> None:
        """Close it, as a person does."""
        await self.ask(close=True)


_CODES: Final = {"Tab": 9, "Enter": 13, "Space": 32, "ArrowDown": 40}
