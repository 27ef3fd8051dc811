"""Pages of a headless Chromium with clients of the JavaScript package, driven by a process of Node."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.transport.http.javascript import PACKAGE

_SCRIPT: Final = "clients/js/test/browser/taking.js"
_LINE_BYTES: Final = 1 << 24


class Browser:
    """A browser that believes one certificate.

    Attributes:
        origin: of the pages.
    """

    def __init__(self, process: asyncio.subprocess.Process, origin: str) -> None:
        self.origin = origin
        self._process = process
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    @asynccontextmanager
    async def start(cls, certificate: bytes) -> AsyncIterator[Browser]:
        """A browser while the block runs.

        Args:
            certificate: that of the server, in PEM.
        """
        subprocess.run(["npm", "run", "build", "--prefix", str(PACKAGE), "--silent"], check=True)
        key = x509.load_pem_x509_certificate(certificate).public_key()
        digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
        process = await asyncio.create_subprocess_exec(
            *("node", str(PACKAGE / "test/browser/driver.js")),
            f"--ignore-certificate-errors-spki-list={base64.b64encode(digest).decode()}",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
        )
        assert process.stdout is not None
        assert process.stdin is not None
        first = await process.stdout.readline()
        assert first, f"the browser did not start: it ended with {await process.wait()}"
        browser = cls(process, json.loads(first)["origin"])
        try:
            yield browser
        finally:
            process.stdin.close()
            await process.wait()
            await browser._reader

    async def call(self, call: str, **given: Any) -> Any:
        """Make a call of driver.js."""
        assert self._process.stdin is not None
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"id": number, "call": call, **given}).encode() + b"\n")
        return await self._waiting[number]

    async def tab(self, server: str, context: str | None = None) -> Tab:
        """Open a page that may call a server, in a context of its own unless one is given."""
        context = await self.call("context") if context is None else context
        tab = await self.call("open", script=_SCRIPT, server=server, context=context)
        return Tab(self, tab, context)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said = json.loads(line)
            waiting = self._waiting.pop(said["id"])
            if waiting.cancelled():
                continue
            if "error" in said:
                waiting.set_exception(AssertionError(said["error"]))
            else:
                waiting.set_result(said.get("value"))
        for waiting in self._waiting.values():
            waiting.cancel()


class Tab:
    """A page with one client, of taking.js.

    Attributes:
        context: whose storage it shares.
    """

    def __init__(self, browser: Browser, tab: str, context: str) -> None:
        self.context = context
        self._browser = browser
        self._tab = tab

    async def call(self, name: str, *given: Any) -> Any:
        """Call a function of the page."""
        expression = f"{name}({', '.join(map(json.dumps, given))})"
        return await self._browser.call("evaluate", tab=self._tab, expression=expression)

    async def take(self, given: Mapping[str, Any]) -> None:
        """Begin to take part."""
        await self.call("take", given)

    async def steps(self) -> list[dict[str, Any]]:
        """What the client told so far."""
        found: list[dict[str, Any]] = await self._browser.call("evaluate", tab=self._tab, expression="steps")
        return found

    async def ended(self) -> dict[str, Any]:
        """How it ended; the page shows it, too."""
        found: dict[str, Any] = await self._browser.call("evaluate", tab=self._tab, expression="ended")
        assert await self.call("shown") == found.get("message", found.get("state"))
        return found

    async def reload(self) -> None:
        """Load the page again, whatever it does."""
        await self._browser.call("reload", tab=self._tab)

    async def offline(self, gone: bool) -> None:
        """Take the network from the page, or give it back."""
        await self._browser.call("offline", **{"tab": self._tab, "is": gone})

    async def vanish(self) -> None:
        """Close the page, and forget what it has stored."""
        await self._browser.call("dispose", context=self.context)

    async def assert_nothing_denied(self) -> None:
        """No policy of the page forbade anything, and nothing was thrown that nobody caught."""
        complaints = await self._browser.call("complaints", tab=self._tab)
        # Chromium says of each call that failed that it did, and so does the client.
        assert [each for each in complaints if not each.startswith("Failed to load resource")] == []
