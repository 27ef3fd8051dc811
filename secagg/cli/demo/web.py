"""`secagg demo --web`: a private survey in a browser, with a server and the other participants in this process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Final

import secagg
from secagg.cli.demo.survey_host import COHORT, SurveyHost
from secagg.cli.output import print_json, print_sentences

PORT: Final = 8480
_MOST: Final = 65_535


def web_demo(people: int, port: int, as_json: bool) -> None:
    """Serve a survey until it is interrupted.

    Args:
        people: how many are invited, 1 .. 10.
        port: of the page; 0 chooses one.
        as_json: print one JSON object, once people may come, and nothing else.

    Raises:
        ParameterError: another number of people, or a port that cannot be listened on.
    """
    if not 0 <= port <= _MOST:
        raise secagg.ParameterError(f"--port {port} is outside 0 .. {_MOST}; give a port of this machine")
    say: Callable[[str], None] = (lambda sentence: None) if as_json else _say
    asyncio.run(_serve(people, port, say, as_json))


async def _serve(people: int, port: int, say: Callable[[str], None], as_json: bool) -> None:
    async with SurveyHost(people, port, say) as host:
        if as_json:
            print_json(
                {
                    "links": list(host.links),
                    "page": host.page.origin,
                    "server": host.server,
                    "session": host.session,
                    "bundle_sha256": host.page.bundle_sha256,
                }
            )
            sys.stdout.flush()
        say(_introduction(host))
        published = await host.run()
        if published["state"] == "done":
            exact = "exact" if host.is_exact(published) else "WRONG"
            say(
                f"The total of {published['answered']} answers is published, {host.page.origin}/result.json. "
                f"It is {exact}: what the simulated participants gave, and one answer for each of the others. "
                f"{len(published['left'])} left."
            )
        else:
            say(f"The survey ended without a total: {published['why']}")
        say("The page shows it. Ctrl-C ends this.")
        await asyncio.Event().wait()


def _say(sentences: str) -> None:
    """Print at once: whoever reads along waits for it."""
    print_sentences(sentences)
    sys.stdout.flush()


def _introduction(host: SurveyHost) -> str:
    links = "\n".join(f"  {link}" for link in host.links)
    one = len(host.links) == 1
    return (
        f"A survey of {COHORT} participants, of whom {COHORT - len(host.links)} are simulated. Open "
        f"{'this link' if one else 'each of these links in a browser of its own'}, answer, and watch what happens:\n\n"
        f"{links}\n\n"
        f"The page comes from {host.page.origin} and the sum from {host.server}: two origins. All code of the page is "
        f"one file, survey.bundle.js, SHA-256\n  {host.page.bundle_sha256}\n"
        f"Waiting for {'the answer' if one else 'all answers'}; Ctrl-C ends this."
    )
