"""The survey's page in a browser: whole surveys, the keyboard alone, and what may go wrong, in one sentence each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

import secagg
from secagg.cli.demo import survey_host
from secagg.cli.demo.survey_host import SurveyHost
from secagg.cli.demo.survey_pages import BUNDLE
from secagg.crypto.secret import SecretBytes
from secagg.identity.links import Invitation
from secagg.transport.enrolling import redeem
from tests import looking
from tests.browsing import Browser, Tab
from tests.cli.demo.test_survey_host import answer

LIMIT: Final = 900.0  # a guard against hangs
ASKED: Final = "!document.getElementById('ask').hidden"
PROBLEM: Final = "!document.getElementById('problem').hidden && document.getElementById('problem').textContent"
RESULT: Final = "!document.getElementById('result').hidden"
WAITING: Final = "document.getElementById('now').textContent.includes('Waiting for the other participants')"
KEPT: Final = "JSON.stringify(Object.entries(localStorage).map(([, value]) => JSON.parse(value)))"
COUNTS: Final = """[...document.querySelectorAll('#counts tbody tr')].map((row) =>
    [...row.querySelectorAll('td')].map((cell) => cell.textContent))"""
STEPS: Final = "[...document.querySelectorAll('#steps li')].map((step) => [step.id, step.className])"

pytestmark = [pytest.mark.browser, pytest.mark.skipif(bool(looking.missing()), reason=looking.missing())]
Test = Callable[[SurveyHost, Browser], Awaitable[None]]


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey_host, "_ROUND_SECONDS", LIMIT)


def play(test: Test, people: int = 1) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT), SurveyHost(people, 0, lambda said: None) as host, Browser() as browser:
            await test(host, browser)

    asyncio.run(bounded())


async def choose(tab: Tab, option: int, *, randomized: bool = False) -> None:
    """Answer with the mouse, as far as scripts have one."""
    await tab.until(ASKED)
    await tab.evaluate(f"document.querySelectorAll('[name=answer]')[{option}].click()")
    if randomized:
        await tab.evaluate("document.getElementById('randomize').click()")
    await tab.evaluate("document.querySelector('#ask [type=submit]').click()")


async def shown_counts(tab: Tab) -> tuple[list[int], list[int]]:
    rows = await tab.evaluate(COUNTS)
    return [int(row[0]) for row in rows], [int(row[1]) for row in rows]


def test_the_keyboard_alone_answers_and_reads_the_exact_counts() -> None:
    async def test(host: SurveyHost, browser: Browser) -> None:
        running = asyncio.create_task(host.run())
        tab = await browser.open(host.links[0])
        await tab.until(ASKED)
        # The first option, two further down, the switch, the button.
        await tab.press("Tab", "Space", "ArrowDown", "ArrowDown", "Tab", "Tab", "Enter")
        found = await running
        await tab.until(RESULT)
        assert await tab.evaluate("document.activeElement.id") == "result-title"
        assert await shown_counts(tab) == (found["as_given"], found["randomized"])
        inputs = host.crowd.inputs
        own = found["as_given"][2] - sum(int(inputs[who][0, 2]) for who in found["contributors"] if who in inputs)
        assert own == 1
        summary = await tab.evaluate("document.getElementById('summary').textContent")
        assert summary == "18 of 20 answered, and 3 left on the way, 1 of them after the answer had arrived."
        assert {state for _, state in await tab.evaluate(STEPS)} == {"done"}
        # Of the answer nothing is kept, and who comes again sees the result and cannot answer twice.
        assert json.loads(await tab.evaluate(KEPT)) == [{"over": True}]
        await tab.reload()
        await tab.until(RESULT)
        assert not await tab.evaluate(ASKED)
        assert await shown_counts(tab) == (found["as_given"], found["randomized"])
        assert tab.complaints == []

    play(test)


def test_what_the_page_draws_as_noise_is_what_the_server_was_sent() -> None:
    async def test(host: SurveyHost, browser: Browser) -> None:
        running = asyncio.create_task(host.run())
        tab = await browser.open(host.links[0])
        # The body of each call, as it leaves.
        await tab.evaluate(
            """(() => { const before = globalThis.fetch; globalThis.sent = [];
              const hex = (byte) => byte.toString(16).padStart(2, '0');
              globalThis.fetch = (url, given) => {
                if (String(url).endsWith('/Answer')) sent.push(Array.from(given.body, hex).join(''));
                return before(url, given);
              }; })()"""
        )
        await choose(tab, 1)
        await running
        await tab.until(RESULT)
        drawn = await tab.evaluate("document.querySelector('.noise code').textContent")
        assert len(bytes.fromhex(drawn)) == 8
        assert any(drawn in each for each in await tab.evaluate("globalThis.sent"))
        fields = await tab.evaluate("document.querySelectorAll('.noise svg')[1].getAttribute('aria-label')")
        number = int.from_bytes(bytes.fromhex(drawn), "little")
        assert fields.endswith(", ".join(str(number >> 5 * at & 31) for at in range(10)))
        assert tab.complaints == []

    play(test)


def test_a_randomized_answer_is_drawn_once_however_often_the_page_is_loaded() -> None:
    async def test(host: SurveyHost, browser: Browser) -> None:
        running = asyncio.create_task(host.run())
        tab = await browser.open(host.links[0])
        await choose(tab, 0, randomized=True)
        await tab.until(WAITING)
        (kept,) = json.loads(await tab.evaluate(KEPT))
        assert kept["answer"]["row"] == 1
        for _ in range(3):
            await tab.reload()
            await tab.until(WAITING)
            assert json.loads(await tab.evaluate(KEPT)) == [kept]
        other = asyncio.create_task(answer(host, host.links[1], 0))
        found = await running
        await other
        await tab.until(RESULT)
        inputs = {who: array for who, array in host.crowd.inputs.items() if who in found["contributors"]}
        rest = [
            found["randomized"][option] - sum(int(array[1, option]) for array in inputs.values()) for option in range(5)
        ]
        assert rest == [int(option == kept["answer"]["given"]) for option in range(5)]
        assert tab.complaints == []

    play(test, people=2)


def test_two_tabs_with_one_invitation_one_of_which_goes_on() -> None:
    async def test(host: SurveyHost, browser: Browser) -> None:
        running = asyncio.create_task(host.run())
        first = await browser.open(host.links[0])
        await choose(first, 0)
        await first.until(WAITING)
        second = await browser.open(host.links[0])
        assert "another tab goes on" in await second.until(PROBLEM)
        await first.close()
        while (await second.evaluate("navigator.locks.query()"))["held"]:
            await asyncio.sleep(0)
        await second.reload()
        await second.until(WAITING)
        await asyncio.gather(answer(host, host.links[1], 0), running)
        await second.until(RESULT)
        assert set(running.result()["contributors"]) >= {1, 2}
        assert second.complaints == []

    play(test, people=2)


def test_offline_in_the_middle_loses_nothing() -> None:
    async def test(host: SurveyHost, browser: Browser) -> None:
        running = asyncio.create_task(host.run())
        tab = await browser.open(host.links[0])
        await choose(tab, 3)
        await tab.until(WAITING)
        off = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        await tab.call("Network.enable")
        await tab.call("Network.emulateNetworkConditions", offline=True, **off)
        # A call that broke before the browser said so is another problem.
        await tab.until(f"({PROBLEM} || '').includes('offline')")
        other = asyncio.create_task(answer(host, host.links[1], 0))
        while host.session not in {each.name for each in host.host.sessions()}:
            await asyncio.sleep(0.01)
        await tab.call("Network.emulateNetworkConditions", offline=False, **off)
        await asyncio.gather(other, running)
        await tab.until(RESULT)
        assert not await tab.evaluate(PROBLEM)
        assert 1 in running.result()["contributors"]

    play(test, people=2)


def test_who_declines_sends_nothing_and_may_come_again() -> None:
    async def test(host: SurveyHost, browser: Browser) -> None:
        running = asyncio.create_task(host.run())
        tab = await browser.open(host.links[0])
        await tab.until(ASKED)
        await tab.evaluate("document.getElementById('decline').click()")
        assert "nothing has left this device" in await tab.until(PROBLEM)
        assert json.loads(await tab.evaluate(KEPT)) == []
        assert not running.done()
        await tab.reload()
        await choose(tab, 0)
        assert (await running)["state"] == "done"
        assert tab.complaints == []

    play(test)


def test_who_leaves_is_out_and_stays_out() -> None:
    async def test(host: SurveyHost, browser: Browser) -> None:
        running = asyncio.create_task(host.run())
        tab = await browser.open(host.links[0])
        await choose(tab, 0)
        await tab.until(WAITING)
        await tab.evaluate("document.getElementById('leave').click()")
        assert (await tab.until(PROBLEM)).startswith("You have left.")
        (kept,) = json.loads(await tab.evaluate(KEPT))
        assert "answer" not in kept
        await tab.reload()
        assert (await tab.until(PROBLEM)).startswith("You have left.")
        running.cancel()
        assert tab.complaints == []

    play(test, people=2)


# Of all sessions, in all databases of the page: each has the answer in it, until it was masked.
SNAPSHOTS: Final = """(async () => {
    const settled = (request) => new Promise((done, failed) => {
      request.onsuccess = () => done(request.result);
      request.onerror = () => failed(request.error);
    });
    let found = 0;
    for (const { name } of await indexedDB.databases()) {
      const opened = await settled(indexedDB.open(name));
      if (opened.objectStoreNames.contains('snapshots')) {
        found += await settled(opened.transaction(['snapshots']).objectStore('snapshots').count());
      }
      opened.close();
    }
    return found;
  })()"""


def test_who_leaves_in_the_middle_leaves_no_answer_behind() -> None:
    async def test(host: SurveyHost, browser: Browser) -> None:
        running = asyncio.create_task(host.run())
        tab = await browser.open(host.links[0])
        await choose(tab, 0)
        await tab.until(WAITING)
        # The other one comes, and answers nothing: the round stays open.
        other = asyncio.create_task(
            redeem(Invitation.parse(host.links[1]), secagg.IdentityKey.generate(), insecure=True)
        )
        await tab.until("document.getElementById('step-keys').textContent.includes('signed and sent')")
        assert await tab.evaluate(SNAPSHOTS) == 1
        await tab.evaluate("document.getElementById('leave').click()")
        assert (await tab.until(PROBLEM)).startswith("You have left.")
        assert await tab.evaluate(SNAPSHOTS) == 0
        running.cancel()
        await asyncio.gather(running, other, return_exceptions=True)
        assert tab.complaints == []

    play(test, people=2)


def test_what_was_answered_here_goes_nowhere_by_the_link_of_somebody_else() -> None:
    """The same server, session and client under another authority are another survey, and the page asks."""

    async def test(host: SurveyHost, browser: Browser) -> None:
        running = asyncio.create_task(host.run())
        tab = await browser.open(host.links[0])
        await choose(tab, 0)
        await tab.until(WAITING)
        await tab.close()
        true, liar = Invitation.parse(host.links[0]), secagg.IdentityKey.generate()
        lying = replace(true, authority=liar.public, secret=SecretBytes(bytes(range(32))))
        other = await browser.open(lying.link(f"{host.page.origin}/"))
        await other.until(f"{ASKED} || {WAITING} || {PROBLEM}")
        assert await other.evaluate(ASKED)
        running.cancel()

    play(test, people=2)


def test_what_was_meant_stands_nowhere_once_it_was_randomized() -> None:
    async def test(host: SurveyHost, browser: Browser) -> None:
        running = asyncio.create_task(host.run())
        tab = await browser.open(host.links[0])
        assert (
            await tab.evaluate("document.getElementById('ask').autocomplete") == "off"
        )  # not in a session that is restored
        await choose(tab, 0, randomized=True)
        await tab.until(WAITING)
        assert await tab.evaluate("document.querySelector('[name=answer]:checked')") is None
        running.cancel()

    play(test, people=2)


def test_a_tab_that_still_asks_when_another_one_is_done_shows_the_result() -> None:
    async def test(host: SurveyHost, browser: Browser) -> None:
        running = asyncio.create_task(host.run())
        late, tab = await browser.open(host.links[0]), await browser.open(host.links[0])
        await choose(tab, 0)
        await running
        await tab.until(RESULT)
        await choose(late, 1)
        await late.until(f"{RESULT} || {PROBLEM}")
        assert not await late.evaluate(PROBLEM)
        assert await shown_counts(late) == await shown_counts(tab)

    play(test)


LACKING: Final = {
    "Object.defineProperty(globalThis, 'isSecureContext', { value: false })": "an address that others can read",
    "Object.defineProperty(globalThis.crypto, 'subtle', { value: undefined })": "no WebCrypto",
    "Object.defineProperty(globalThis, 'indexedDB', { value: undefined })": "keeps nothing for this page",
    "Object.defineProperty(globalThis, 'localStorage', { get() { throw new DOMException('', 'SecurityError'); } })": (
        "keeps nothing for this page"
    ),
    "delete AbortSignal.timeout": "too old for this page",
}


def test_a_browser_that_lacks_something_is_told_so_in_a_sentence() -> None:
    async def test(host: SurveyHost, browser: Browser) -> None:
        for script, sentence in LACKING.items():
            tab = await browser.open(host.links[0], before=script)
            assert sentence in await tab.until(PROBLEM)
            assert not await tab.evaluate(ASKED)
            assert tab.complaints == []

    play(test)


def test_a_link_that_is_none_or_cut_short_is_one_sentence() -> None:
    async def test(host: SurveyHost, browser: Browser) -> None:
        link = host.links[0]
        for wrong in (f"{host.page.origin}/", f"{host.page.origin}/#", link[:-1], link[:-9] + "AAAAAAAAA", link + "x"):
            tab = await browser.open(wrong)
            assert "link" in await tab.until(PROBLEM)
            assert not await tab.evaluate(ASKED)
            assert tab.complaints == []

    play(test)


async def refused(host: SurveyHost, browser: Browser) -> str:
    tab = await browser.open(host.links[0])
    await choose(tab, 0)
    sentence: str = await tab.until(PROBLEM)
    assert sentence.count("\n") == 0
    return sentence


def test_a_link_that_was_used_is_one_sentence() -> None:
    async def test(host: SurveyHost, browser: Browser) -> None:
        await redeem(Invitation.parse(host.links[0]), secagg.IdentityKey.generate(), insecure=True)
        assert "was used before" in await refused(host, browser)

    play(test)


def test_a_link_that_has_expired_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(host: SurveyHost, browser: Browser) -> None:
        while datetime.now(UTC) < host.desk.invitations.expires:
            await asyncio.sleep(0.01)
        assert "expired" in await refused(host, browser)

    monkeypatch.setattr(survey_host, "_INVITED_FOR", timedelta(seconds=1))
    play(test)


def test_a_survey_that_is_over_or_whose_host_is_another_one_is_one_sentence() -> None:
    async def test(host: SurveyHost, browser: Browser) -> None:
        host.service.enrolments.prepared([])()
        assert "takes no claims for session" in await refused(host, browser)

    play(test)


def test_a_session_that_is_offered_after_the_roster_was_signed_is_waited_for() -> None:
    async def test(host: SurveyHost, browser: Browser) -> None:
        create, offered = host.host.create, asyncio.Event()

        async def late(*given: Any, **named: Any) -> Any:
            host.enrol(named["roster"])
            await offered.wait()
            return await create(*given, **named)

        host.host.create = late  # type: ignore[method-assign]
        running = asyncio.create_task(host.run())
        tab = await browser.open(host.links[0])
        await choose(tab, 0)
        assert "has not begun" in await tab.until(PROBLEM)
        offered.set()
        found = await running
        await tab.until(RESULT)
        assert not await tab.evaluate(PROBLEM)
        assert 1 in found["contributors"]

    play(test)


def test_a_total_that_is_not_published_yet_is_waited_for() -> None:
    async def test(host: SurveyHost, browser: Browser) -> None:
        running = asyncio.create_task(host.run())
        tab = await browser.open(host.links[0])
        await tab.evaluate("""globalThis.held = true; globalThis.given = fetch;
            globalThis.fetch = async (what, how) =>
                what === 'result.json' && held ? new Response('', { status: 404 }) : given(what, how)""")
        await choose(tab, 0)
        await tab.until(f"({PROBLEM} || '').includes('is not published yet')")
        await running
        await tab.evaluate("held = false")
        await tab.until(RESULT)
        assert not await tab.evaluate(PROBLEM)

    play(test)


def test_other_code_than_the_page_names_does_not_run() -> None:
    async def test(host: SurveyHost, browser: Browser) -> None:
        host.page.files[BUNDLE] += b"\n"
        tab = await browser.open(host.links[0])
        assert "refused" in await tab.evaluate(PROBLEM)
        assert not await tab.evaluate(ASKED)
        assert any("integrity" in each for each in tab.complaints)

    play(test)


def test_texts_of_others_are_never_markup() -> None:
    """What the host publishes is shown as text, whatever it is."""
    hostile: dict[str, Any] = {"state": "failed", "why": "<img src=x onerror=alert(1)>", "left": {}}

    async def test(host: SurveyHost, browser: Browser) -> None:
        running = asyncio.create_task(host.run())
        tab = await browser.open(host.links[0])
        await choose(tab, 0)
        await running
        host.published = hostile
        await tab.reload()
        await tab.until(RESULT)
        assert "<img" in await tab.evaluate("document.getElementById('summary').textContent")
        assert await tab.evaluate("document.images.length") == 0
        assert tab.complaints == []

    play(test)
