"""Invitations are redeemed over either transport: once, by whom they were sent to, until the roster is signed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from secagg import ClientPolicy, IdentityKey, Integers, ParameterError, SecretBytes, SessionParameters
from secagg.hosting import RoundSchedule, read_result
from secagg.identity.directory import Directory
from secagg.identity.enrolment import Enrolment
from secagg.identity.invitations import invite
from secagg.identity.links import Invitation
from secagg.identity.roster import SignedRoster
from secagg.transport import service_pb2 as pb
from secagg.transport.enrolling import redeem, redeem_and_wait
from secagg.transport.enrolments import ROSTERS_PER_MINUTE, Enrolments
from secagg.transport.errors import Refusal, ServiceError, UnreachableError
from secagg.transport.grpc import ServiceLimits, participate
from secagg.transport.refusals import CallRefusedError
from secagg.transport.seats import STRANGERS
from tests.transport.grpc.network import IMPATIENT, LIMIT, QUICK, client_tls, run
from tests.transport.http.javascript import Javascript, needs_javascript
from tests.transport.http.web import PROTOBUF, Web, detail_in

SURVEY = "survey-1"
CLIENTS = (11, 12, 13, 14)
NOW = datetime.now(UTC)


def key(number: int) -> IdentityKey:
    return IdentityKey.from_seed(SecretBytes(number.to_bytes(32, "big")))


AUTHORITY = key(1)


class Office(Web):
    """A server that takes claims, and the authority that invited.

    Args:
        directory: has the claims.
        over: "http" or "grpc": by which the links lead.
    """

    def __init__(self, directory: Path, over: str = "http", **options: Any) -> None:
        self.now = NOW
        self.signed: Directory | None = None
        self.enrolments = Enrolments((), lambda: self.signed, lambda: self.now)
        super().__init__(server={"enrolments": self.enrolments}, **options)
        self.directory = directory
        self.over = over

    async def start(self) -> None:
        await super().start()
        server = self.url if self.over == "http" else self.address
        self.invitations, self.sent = invite(
            SURVEY, CLIENTS, server=server, issued=NOW, expires=NOW + timedelta(days=7), authority=AUTHORITY
        )
        self.enrolment = Enrolment(self.invitations, self.directory)
        self.enrolments.prepared([self.enrolment])()

    def sign(self, keys: Any = None, authority: IdentityKey = AUTHORITY, **times: Any) -> SignedRoster:
        """The authority closes the enrolment, and the server reads its roster."""
        given = {"issued": NOW, "expires": NOW + timedelta(days=30), **times}
        keys = self.enrolment.came().keys if keys is None else keys
        roster = SignedRoster.sign(keys, serial=1, authority=authority, **given)
        self.signed = Directory(roster.keys, 1, roster.expires, roster.authority, roster.encode())
        return roster

    async def offer(self, roster: SignedRoster) -> None:
        """Offer the session to those of the roster."""
        parameters = SessionParameters.choose(
            clients=list(roster.keys),
            vectors={"v": Integers(0, 100, length=1)},
            threat_model="active",
            max_dropout=0.0,
            max_corrupt=0.0,
        )
        await self.host.create(SURVEY, parameters, roster=roster.keys, schedule=RoundSchedule.uniform(LIMIT))

    async def take_part(self, invitation: Invitation, own: IdentityKey) -> None:
        """Take part in it, with the roster that an invitation leads to; the input is the client's id."""
        roster = await redeem(invitation, own, tls=client_tls(), retry=QUICK)
        assert roster is not None
        await participate(
            invitation.server,
            {"v": np.array([invitation.client])},
            session=invitation.session,
            client_id=invitation.client,
            identity=own,
            roster=roster.keys,
            policy=ClientPolicy(minimum_cohort=3, minimum_threshold=1),
            tls=client_tls(),
            retry=QUICK,
        )

    async def survey(self) -> Any:
        """The sum of the session."""
        session = self.host.session(SURVEY)
        await session.wait_ended()
        return read_result(await session.result()).vectors["v"].tolist()

    def redeem(self, invited: int, identity: IdentityKey, retry: Any = QUICK, **changes: Any) -> Any:
        invitation = replace(self.sent[invited], **changes)
        return redeem(invitation, identity, tls=client_tls(), retry=retry)


async def refused(call: Any) -> tuple[Refusal | None, str]:
    with pytest.raises(ServiceError) as caught:
        await call
    return caught.value.refusal, str(caught.value)


@pytest.fixture(params=["http", "grpc"])
def over(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_who_is_invited_takes_part_with_a_key_of_its_own(tmp_path: Path, over: str) -> None:
    """From the link to the sum: nobody but the authority has the authority's key."""

    async def play() -> None:
        async with Office(tmp_path, over) as office:

            async def person(link: str) -> None:
                invitation, own = Invitation.parse(link), IdentityKey.generate()
                await redeem_and_wait(
                    invitation, own, tls=client_tls(), retry=QUICK, poll_seconds=0.01, waiting=steps.release
                )
                await offered.wait()
                await office.take_part(invitation, own)

            steps, offered = asyncio.Semaphore(0), asyncio.Event()
            links = [office.sent[client].link("https://app.example.org/") for client in CLIENTS]
            people = [asyncio.create_task(person(link)) for link in links]
            while len(office.enrolment.came().keys) < len(CLIENTS):
                await steps.acquire()
            await office.offer(office.sign())
            offered.set()
            await asyncio.gather(*people)
            assert await office.survey() == [sum(CLIENTS)]

    run(play())


@needs_javascript
def test_links_lead_to_one_session_of_both_languages(tmp_path: Path) -> None:
    async def play() -> None:
        async with Office(tmp_path) as office:
            people, steps = Javascript(), asyncio.Semaphore(0)
            links = {client: office.sent[client].link("https://app.example.org/") for client in CLIENTS[:2]}
            own = {client: IdentityKey.generate() for client in CLIENTS[2:]}

            def told(step: dict[str, Any]) -> None:
                if step["state"] == "claimed":
                    steps.release()

            playing = asyncio.create_task(people.redeem(links, {client: [client] for client in links}, told))
            for client, identity in own.items():
                assert await office.redeem(client, identity) is None
            while len(office.enrolment.came().keys) < len(CLIENTS):
                await steps.acquire()
            await office.offer(office.sign())
            await asyncio.gather(*(office.take_part(office.sent[client], identity) for client, identity in own.items()))
            await playing
            people.assert_completed(*links)
            assert await office.survey() == [sum(CLIENTS)]

    run(play())


def test_a_claim_is_refused_by_name(tmp_path: Path, over: str) -> None:
    async def play() -> None:
        async with Office(tmp_path, over) as office:
            assert await office.redeem(11, key(5)) is None
            assert await office.redeem(11, key(5)) is None
            used, said = await refused(office.redeem(11, key(6)))
            assert (used, "used before, with another key" in said) == (Refusal.INVITATION_USED, True)
            for changes, why in (
                ({"client": 99}, Refusal.NOT_INVITED),
                ({"session": "survey-2"}, Refusal.NOT_INVITED),
                ({"client": 13}, Refusal.SIGNATURE_INVALID),
                ({"authority": key(9).public}, Refusal.SIGNATURE_INVALID),
                ({"secret": SecretBytes(bytes(32))}, Refusal.SIGNATURE_INVALID),
            ):
                assert (await refused(office.redeem(12, key(7), **changes)))[0] is why, changes
            office.now = office.invitations.expires
            expired, said = await refused(office.redeem(12, key(7)))
            assert (expired, "expired at" in said) == (Refusal.ENROLMENT_CLOSED, True)
            assert await office.redeem(11, key(5)) is None
            office.sign()
            assert (await office.redeem(11, key(5))).keys == {11: key(5).public}
            closed, said = await refused(office.redeem(12, key(7)))
            assert (closed, "is closed" in said) == (Refusal.ENROLMENT_CLOSED, True)
            office.enrolments.prepared([])()
            gone, said = await refused(office.redeem(11, key(5)))
            assert (gone, "takes no claims" in said) == (Refusal.NOT_INVITED, True)

    run(play())


def test_another_name_of_this_server_is_another_server(tmp_path: Path, over: str) -> None:
    """A claim is good for the address of the link: who was led elsewhere signs something else."""

    async def play() -> None:
        async with Office(tmp_path, over) as office:
            server = office.sent[11].server.replace("localhost", "127.0.0.1")
            assert (await refused(office.redeem(11, key(5), server=server)))[0] is Refusal.SIGNATURE_INVALID

    run(play())


def test_claims_outlive_the_server(tmp_path: Path, over: str) -> None:
    async def play() -> None:
        async with Office(tmp_path, over) as office:
            assert await office.redeem(11, key(5)) is None
            await office.restart()
            office.enrolments.prepared([Enrolment(office.invitations, tmp_path)])()
            assert (await refused(office.redeem(11, key(6))))[0] is Refusal.INVITATION_USED
            office.sign()
            assert (await office.redeem(11, key(5))).keys == {11: key(5).public}

    run(play())


def test_a_server_that_lies_about_the_roster_is_not_believed(tmp_path: Path, over: str) -> None:
    async def play() -> None:
        async with Office(tmp_path, over) as office:
            assert await office.redeem(11, key(5)) is None
            honest = {11: key(5).public, 12: key(6).public}
            office.sign(honest, authority=key(9))
            assert "signed by the authority with fingerprint" in (await refused(office.redeem(11, key(5))))[1]
            office.sign(honest, expires=NOW - timedelta(days=1), issued=NOW - timedelta(days=2))
            assert "the roster is valid from" in (await refused(office.redeem(11, key(5))))[1]
            roster = office.sign(honest)
            other = SignedRoster.sign(
                {12: key(6).public}, serial=1, authority=AUTHORITY, issued=NOW, expires=NOW + timedelta(days=1)
            )
            office.signed = Directory(roster.keys, 1, None, roster.authority, other.encode())
            assert "without this key of client 11" in (await refused(office.redeem(11, key(5))))[1]
            # One that the authority did sign, before the one that this client has: somebody in it was removed since.
            office.sign(honest)
            invitation = office.sent[11]
            for again in (redeem, redeem_and_wait):
                old = again(invitation, key(5), tls=client_tls(), retry=QUICK, minimum_serial=2)
                assert "serial 1, older than 2" in (await refused(old))[1]

    run(play())


def test_a_roster_is_given_to_those_in_it_alone(tmp_path: Path) -> None:
    async def play() -> None:
        async with Office(tmp_path) as office:
            # A roster of others, before the enrolment is over, is theirs.
            office.sign({1: key(4).public})
            assert await office.redeem(11, key(5)) is None
            await office.redeem(12, key(6))
            # Somebody else stands there under the number of one who came.
            office.sign({11: key(5).public, 12: key(8).public})
            assert (await refused(office.redeem(12, key(6))))[0] is Refusal.ENROLMENT_CLOSED

    run(play())


def test_nobody_is_given_the_roster_as_often_as_it_likes(tmp_path: Path) -> None:
    """A reply that nobody reads stays in memory, and a claim is no login whose calls are counted."""

    async def play() -> None:
        async with Office(tmp_path) as office:
            elapsed = 0.0
            enrolments = Enrolments([office.enrolment], lambda: office.signed, lambda: NOW, lambda: elapsed)
            requests = {}
            for client, own in ((11, key(5)), (12, key(6))):
                claim = office.sent[client].claim(own)
                signatures = (claim.invitation_signature, claim.key_signature)
                requests[client] = pb.EnrolRequest(
                    session=SURVEY,
                    client=client,
                    public_key=claim.key,
                    invitation_signature=signatures[0],
                    key_signature=signatures[1],
                )
                # Asking while there is none is free.
                for _ in range(ROSTERS_PER_MINUTE + 1):
                    assert (await enrolments.enrol(requests[client])).roster == b""
            roster = office.sign()
            for _ in range(ROSTERS_PER_MINUTE):
                assert (await enrolments.enrol(requests[11])).roster == roster.encode()
            with pytest.raises(CallRefusedError, match="client 11 asks for the roster more than 60 times") as caught:
                await enrolments.enrol(requests[11])
            told = caught.value
            assert (told.refusal, told.retry, told.retry_after) == (Refusal.QUOTA_EXCEEDED, True, 1.0)
            assert (await enrolments.enrol(requests[12])).roster == roster.encode()
            elapsed = 1.0
            assert (await enrolments.enrol(requests[11])).roster == roster.encode()

    run(play())


def test_a_disk_that_fails_is_no_end_of_a_claim(tmp_path: Path, over: str) -> None:
    async def play() -> None:
        async with Office(tmp_path / "claims", over) as office:
            (tmp_path / "claims").write_bytes(b"")
            with pytest.raises(UnreachableError, match="cannot be kept now") as caught:
                await office.redeem(11, key(5), retry=IMPATIENT)
            assert str(tmp_path) not in str(caught.value)
            (tmp_path / "claims").unlink()
            assert await office.redeem(11, key(5)) is None

    run(play())


@pytest.mark.parametrize(
    "request_",
    [
        pb.EnrolRequest(),
        pb.EnrolRequest(session=SURVEY, client=11),
        pb.EnrolRequest(session=SURVEY, client=11, public_key=b"k", invitation_signature=b"i", key_signature=b"k"),
        pb.EnrolRequest(session="x" * 3000),
    ],
)
def test_nonsense_is_refused_before_anything_is_kept(tmp_path: Path, request_: pb.EnrolRequest) -> None:
    async def play() -> None:
        async with Office(tmp_path) as office, office.browser() as browser, office.connection() as bare:
            reply = await browser.post(
                "Enrol", content=request_.SerializeToString(), headers={"content-type": PROTOBUF}
            )
            wanted = "SIGNATURE_INVALID" if request_.client else "NOT_INVITED"
            assert detail_in(reply).reason == wanted
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await bare.aggregation.Enrol(request_, timeout=LIMIT)
            assert caught.value.code().name == ("UNAUTHENTICATED" if request_.client else "PERMISSION_DENIED")
            assert list(tmp_path.iterdir()) == []

    run(play())


def test_a_body_is_as_short_as_that_of_a_login(tmp_path: Path) -> None:
    async def play() -> None:
        async with Office(tmp_path) as office, office.browser() as browser:
            reply = await browser.post("Enrol", content=bytes(5000), headers={"content-type": PROTOBUF})
            assert (reply.status_code, detail_in(reply).reason) == (413, "UPLOAD_REFUSED")

    run(play())


def test_strangers_have_few_places_for_claims_too(tmp_path: Path) -> None:
    """A claim takes a place of those without a login, as a login does."""

    async def play() -> None:
        async with Office(tmp_path, limits=ServiceLimits(calls=16)) as office, office.browser() as browser:
            service = office.server.service
            assert service is not None
            most = service.limits.calls_of_strangers
            taken = [service.seats.take(STRANGERS, f"10.0.0.{number}") for number in range(most)]
            reply = await browser.post("Enrol", content=b"", headers={"content-type": PROTOBUF})
            assert (reply.status_code, detail_in(reply).reason) == (429, "QUOTA_EXCEEDED")
            for seats in taken:
                service.seats.give_back(seats)
            reply = await browser.post("Enrol", content=b"", headers={"content-type": PROTOBUF})
            assert reply.status_code == 403

    run(play())


def test_two_enrolments_of_one_session_are_refused(tmp_path: Path) -> None:
    def of(clients: Iterable[int]) -> Enrolment:
        times = {"issued": NOW, "expires": NOW + timedelta(days=7)}
        return Enrolment(invite(SURVEY, clients, server="a:1", authority=AUTHORITY, **times)[0], tmp_path)

    with pytest.raises(ParameterError, match="two enrolments are for session 'survey-1'"):
        Enrolments([of([1]), of([2])])
    kept = Enrolments([of([1])])
    with pytest.raises(ParameterError, match="two enrolments"):
        kept.prepared([of([1]), of([2])])
