"""A client whose key is revoked is told so, loses its login, and gets no other; so do operators."""

from __future__ import annotations

import asyncio

import pytest

from secagg.errors import ParameterError
from secagg.hosting import HostReason
from secagg.transport.errors import DroppedError, ServiceError
from secagg.transport.grpc import ServerTls
from secagg.transport.rights import OperatorRights
from tests.transport.grpc.network import SESSION, Network, authority, run, server_tls, until


def test_a_revoked_client_is_told_so_in_its_session_and_at_the_door() -> None:
    async def play() -> None:
        async with Network(clients=5, max_dropout=0.4, threshold=2) as network:
            waiting = {client: asyncio.create_task(network.client(client)) for client in (1, 2, 3, 4)}
            await until(lambda: network.session.status().answered == 4)
            keys = {client: key for client, key in network.roster.items() if client != 2}
            assert await network.host.revoke(keys) == 1
            with pytest.raises(DroppedError) as told:
                await waiting.pop(2)
            assert told.value.drop_reason is HostReason.REVOKED
            with pytest.raises(DroppedError, match="revoked") as refused:
                await network.client(2)
            assert refused.value.drop_reason is HostReason.REVOKED
            waiting[5] = asyncio.create_task(network.client(5))
            await asyncio.gather(*waiting.values())
            network.assert_exact(await network.sum(), (1, 3, 4, 5))

    run(play())


def test_an_operator_who_is_taken_off_the_list_has_no_token_any_more() -> None:
    async def play() -> None:
        async with Network() as network, network.admin() as admin:
            assert [status.name for status in await admin.sessions()] == [SESSION]
            network.server.change(tls=None, operators={})
            with pytest.raises(ServiceError, match="operator"):
                await admin.sessions()
            network.server.change(tls=None, operators={"again": network.operator.public})
            assert [status.name for status in await admin.sessions()] == [SESSION]

    run(play())


def test_what_a_server_cannot_change_to_changes_nothing() -> None:
    async def play() -> None:
        async with Network() as network, network.admin() as admin:
            mutual = ServerTls(*authority().server(), authority().pem)
            with pytest.raises(ParameterError, match="takes a restart"):
                network.server.change(tls=mutual, operators={})
            with pytest.raises(ParameterError, match="not 32 bytes"):
                network.server.change(tls=server_tls(), operators={"short": OperatorRights(b"short")})
            assert [status.name for status in await admin.sessions()] == [SESSION]

    run(play())
