"""The host of the survey, with people who come by Python: links, claims, the sum, and what is published of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx
import numpy as np
import pytest

import secagg
from secagg.cli.demo.survey_crowd import LEAVES_IN
from secagg.cli.demo.survey_host import COHORT, SurveyHost
from secagg.cli.demo.survey_question import VECTOR
from secagg.hosting import HostReason
from secagg.identity.links import Invitation
from secagg.transport.enrolling import redeem, redeem_and_wait
from secagg.transport.errors import Refusal, ServiceError
from secagg.transport.http import participate

LIMIT: Final = 600.0  # a guard against hangs


def play(test: Callable[[SurveyHost, list[str]], Awaitable[None]], people: int = 1) -> None:
    async def bounded() -> None:
        said: list[str] = []
        async with asyncio.timeout(LIMIT), SurveyHost(people, 0, said.append) as host:
            await test(host, said)

    asyncio.run(bounded())


async def answer(host: SurveyHost, link: str, option: int, *, randomized: bool = False) -> Any:
    """What the page does: redeem the invitation, take part, and return the input."""
    invitation, key = Invitation.parse(link), secagg.IdentityKey.generate()
    roster = await redeem_and_wait(invitation, key, insecure=True, poll_seconds=0.05)
    given = host.question.input(option, randomized=randomized)
    await participate(
        invitation.server,
        {VECTOR: given},
        session=invitation.session,
        client_id=invitation.client,
        identity=key,
        roster=roster.keys,
        policy=host.question.policy(),
        insecure=True,
    )
    return given


async def published(host: SurveyHost) -> Any:
    async with httpx.AsyncClient(timeout=60, trust_env=False) as browser:
        return (await browser.get(f"{host.page.origin}/result.json")).json()


@pytest.mark.parametrize("randomized", [False, True])
def test_a_person_answers_and_the_published_counts_are_those_of_all_answers(randomized: bool) -> None:
    async def test(host: SurveyHost, said: list[str]) -> None:
        assert (await published(host))["state"] == "open"
        (link,) = host.links
        running = asyncio.create_task(host.run())
        given = await answer(host, link, 4, randomized=randomized)
        found = await running
        assert found == await published(host)
        left = {str(who): round_.value for round_, who in host.crowd.leaving.items()}
        assert (found["state"], found["asked"], found["left"]) == ("done", COHORT, left)
        # Who left before the masked inputs is not in the sum, and who left after them is.
        gone = {host.crowd.leaving[round_] for round_ in LEAVES_IN[:2]}
        assert set(found["contributors"]) == set(range(1, COHORT + 1)) - gone
        assert found["answered"] == COHORT - 2
        inputs = host.crowd.inputs
        expected = given + sum(inputs[who] for who in found["contributors"] if who in inputs)
        assert [found["as_given"], found["randomized"]] == expected.tolist()
        assert found["estimate"] == host.question.said(expected)["estimate"]
        assert host.is_exact(found)
        assert not host.is_exact(found | {"as_given": [99, 0, 0, 0, 0]})
        assert any("has left" in sentence for sentence in said)

    play(test)


def test_all_people_are_waited_for_and_each_link_is_good_once() -> None:
    async def test(host: SurveyHost, said: list[str]) -> None:
        assert len(set(host.links)) == 3
        running = asyncio.create_task(host.run())
        first = [asyncio.create_task(answer(host, link, 0)) for link in host.links[:2]]
        while "2 of 3 people have come." not in said:
            await asyncio.sleep(0)
        with pytest.raises(ServiceError, match="was used before") as caught:
            await redeem(Invitation.parse(host.links[0]), secagg.IdentityKey.generate(), insecure=True)
        assert caught.value.refusal is Refusal.INVITATION_USED
        assert not any(task.done() for task in (*first, running))
        await asyncio.gather(answer(host, host.links[2], 1), *first)
        found = await running
        assert {1, 2, 3} <= set(found["contributors"])
        assert np.array(found["as_given"]).sum() + np.array(found["randomized"]).sum() == found["answered"]

    play(test, people=3)


def test_a_person_who_never_answers_after_the_roster_was_signed_is_dropped_like_anybody() -> None:
    async def test(host: SurveyHost, said: list[str]) -> None:
        running = asyncio.create_task(host.run())
        invitation, key = Invitation.parse(host.links[0]), secagg.IdentityKey.generate()
        await redeem_and_wait(invitation, key, insecure=True, poll_seconds=0.05)
        session = host.host.session(host.session)
        await session.drop(1, HostReason.REMOVED_BY_OPERATOR, "in place of the deadline")
        found = await running
        assert found["state"] == "done"
        assert "1" in found["left"]
        assert 1 not in found["contributors"]

    play(test)


def test_a_session_that_ends_without_a_sum_is_published_as_that() -> None:
    async def test(host: SurveyHost, said: list[str]) -> None:
        running = asyncio.create_task(host.run())
        invitation, key = Invitation.parse(host.links[0]), secagg.IdentityKey.generate()
        await redeem_and_wait(invitation, key, insecure=True, poll_seconds=0.05)
        await host.host.session(host.session).abort("an operator ended it")
        found = await running
        assert (found["state"], found["why"]) == ("failed", "an operator ended it")
        assert await published(host) == found

    play(test)


@pytest.mark.parametrize("people", [0, 11])
def test_another_number_of_people_is_one_sentence(people: int) -> None:
    with pytest.raises(secagg.ParameterError, match=rf"--people {people} is outside 1 \.\. 10"):
        SurveyHost(people, 0, print)
