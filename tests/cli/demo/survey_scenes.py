"""The survey's page as it asks and as it shows a result: for its tests in a browser, and for the pictures of docs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from secagg.cli.demo.survey_host import SurveyHost
from tests.looking import Looked, look, until

# What only takes time is left out.
_ANSWER = """globalThis.matchMedia = () => ({ matches: true });
    document.querySelectorAll('[name=answer]')[1].click(); document.querySelector('#ask [type=submit]').click()"""


async def asked(out: Path | None = None) -> Looked:
    """Look at the question."""
    async with SurveyHost(1, 0, lambda said: None) as host:
        return await look(host.links[0], wait="#ask:not([hidden])", out=out)


async def pictured(out: Path | None = None) -> Looked:
    """Answer, and look at the result."""
    async with SurveyHost(1, 0, lambda said: None) as host:
        running = asyncio.create_task(host.run())
        shown = until("!document.getElementById('result').hidden")
        looked = await look(host.links[0], wait="#ask:not([hidden])", scripts=[_ANSWER, shown], out=out)
        await running
        return looked
