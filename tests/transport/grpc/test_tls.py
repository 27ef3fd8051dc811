"""Encryption: what is demanded, what is refused, and how clearly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from secagg import ParameterError
from secagg.hosting import SessionHost
from secagg.store.memory import MemoryStore
from secagg.transport.grpc import ClientTls, GrpcServer, Operator, Participation, Refusal, ServerTls, ServiceError
from secagg.transport.tls import check_security, is_loopback, split_address
from tests.identity.authority import CertificateAuthority
from tests.transport.grpc.network import IMPATIENT, Network, Watch, authority, client_tls, run, server_tls


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("localhost:1", ("localhost", 1)),
        ("127.0.0.1:65535", ("127.0.0.1", 65535)),
        ("[::1]:80", ("::1", 80)),
        ("sums.example.org:8443", ("sums.example.org", 8443)),
    ],
)
def test_addresses(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize(
    "address",
    ["", "host", "host:", ":1", "host:x", "host:65536", "::1:80", "http://host:1", "[host]:1", "host:-1", "host:²"],
)
def test_what_is_no_address(address: str) -> None:
    sentence = r" is no address; give host:port or \[IPv6 address\]:port, the port from 0 to 65535$"
    with pytest.raises(ParameterError, match=sentence):
        split_address(address)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("0.0.0.0", False),  # noqa: S104 - refused
        ("::", False),
        ("localhost.example.org", False),
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_what_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_plaintext_needs_the_flag_and_loopback() -> None:
    assert check_security("example.org:1", client_tls(), insecure=False)
    assert not check_security("127.0.0.1:1", None, insecure=True)
    with pytest.raises(ParameterError, match="no TLS; give tls="):
        check_security("127.0.0.1:1", None, insecure=False)
    with pytest.raises(ParameterError, match="not a loopback address"):
        check_security("0.0.0.0:1", None, insecure=True)
    with pytest.raises(ParameterError, match="exclude each other"):
        check_security("127.0.0.1:1", client_tls(), insecure=True)


def serve(**changes: Any) -> GrpcServer:
    arguments: dict[str, Any] = {"tls": server_tls(), **changes}
    return GrpcServer(SessionHost(MemoryStore()), arguments.pop("address", "localhost:0"), **arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tls": None}, "no TLS"),
        ({"tls": None, "insecure": True, "address": "0.0.0.0:0"}, "not a loopback"),
        ({"anonymous": True}, "insecure=True only"),
        ({"address": "0.0.0.0:0"}, "has no name"),
        ({"operators": {"op": b"short"}}, "operator 'op' is not 32 bytes"),
    ],
)
def test_servers_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        serve(**changes)


def test_clients_refuse_plaintext_beyond_loopback() -> None:
    async def play() -> None:
        async with Network() as network:
            with pytest.raises(ParameterError, match="not a loopback"):
                await network.client(1, server="example.org:1", tls=None, insecure=True)
            with pytest.raises(ParameterError, match="not a loopback"):
                Operator("example.org:1", identity=network.operator, insecure=True)

    run(play())


def test_pem_files(tmp_path: Path) -> None:
    certificate, key = authority().server()
    names = ("certificate.pem", "key.pem", "authority.pem")
    paths = [tmp_path / name for name in names]
    for path, text in zip(paths, (certificate, key, authority().pem), strict=True):
        path.write_bytes(text)
    assert ServerTls.from_files(paths[0], paths[1]) == ServerTls(certificate, key)
    assert ServerTls.from_files(*paths) == ServerTls(certificate, key, authority().pem)
    assert ClientTls.from_files(paths[2], server_name="here") == ClientTls(authority().pem, server_name="here")
    assert ClientTls.from_files(paths[2], paths[0], paths[1]) == ClientTls(authority().pem, certificate, key)
    with pytest.raises(ParameterError, match=r"key\.pem holds no CERTIFICATE"):
        ServerTls.from_files(paths[1], paths[1])
    with pytest.raises(ParameterError, match=r"certificate\.pem holds no PRIVATE KEY"):
        ServerTls.from_files(paths[0], paths[0])
    with pytest.raises(ParameterError, match="give both or neither"):
        ClientTls(certificate_chain=certificate)
    with pytest.raises(ParameterError, match=r"cannot read .*absent\.pem"):
        ClientTls.from_files(tmp_path / "absent.pem")
    (tmp_path / "long.pem").write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(ParameterError, match=r"more than \d+ bytes"):
        ClientTls.from_files(tmp_path / "long.pem")


def test_private_keys_are_not_shown() -> None:
    assert "PRIVATE" not in repr(server_tls())
    assert "PRIVATE" not in repr(ClientTls(authority().pem, *authority().client()))


async def refused(network: Network, **changes: Any) -> str:
    watch = Watch()
    with pytest.raises(ServiceError) as caught:
        await network.client(1, observer=watch, **changes)
    assert (caught.value.code, caught.value.refusal) == ("UNAVAILABLE", None)
    # The same certificate would be there the next time: no attempt follows.
    assert watch.retries == []
    assert "shows a certificate that is not accepted" in str(caught.value)
    assert "give its authority (--ca, or ClientTls(authority=...))" in str(caught.value)
    return str(caught.value)


def test_a_server_of_another_authority_is_refused_at_once() -> None:
    async def play() -> None:
        async with Network() as network:
            text = await refused(network, tls=ClientTls(CertificateAuthority("another").pem))
            assert "CERTIFICATE_VERIFY_FAILED" in text

    run(play())


def test_an_expired_certificate_is_refused_at_once() -> None:
    expired = ServerTls(*authority().server(until=datetime.now(UTC) - timedelta(minutes=1)))

    async def play() -> None:
        async with Network(server={"tls": expired}) as network:
            assert "CERTIFICATE_VERIFY_FAILED" in await refused(network)

    run(play())


def test_a_certificate_for_another_name_is_refused_at_once() -> None:
    async def play() -> None:
        async with Network() as network:
            tls = ClientTls(authority().pem, server_name="other.example.org")
            assert "other.example.org" in await refused(network, tls=tls)

    run(play())


def test_the_name_of_the_certificate_may_differ_from_the_address() -> None:
    async def play() -> None:
        async with Network() as network:
            outcomes = await network.everybody(
                server=f"127.0.0.1:{network.port}", tls=ClientTls(authority().pem, server_name="localhost")
            )
            assert all(isinstance(outcome, Participation) for outcome in outcomes.values()), outcomes

    run(play())


def test_mutual_tls_refuses_who_shows_no_certificate_or_a_strangers() -> None:
    demanding = ServerTls(server_tls().certificate_chain, server_tls().private_key, authority().pem)
    stranger = CertificateAuthority("another").client()
    expired = authority().client(until=datetime.now(UTC) - timedelta(minutes=1))

    async def play() -> None:
        async with Network(server={"tls": demanding}) as network:
            for shown in ((None, None), stranger, expired):
                with pytest.raises(ServiceError):
                    await network.client(1, tls=ClientTls(authority().pem, *shown), retry=IMPATIENT)
            # A certificate is no identity: the login still needs the enrolled key.
            tls = ClientTls(authority().pem, *authority().client())
            with pytest.raises(ServiceError) as caught:
                await network.client(1, tls=tls, identity=network.identities[2])
            assert caught.value.refusal is Refusal.SIGNATURE_INVALID

    run(play())


def test_plaintext_to_a_server_with_tls_does_not_work() -> None:
    async def play() -> None:
        async with Network() as network:
            with pytest.raises(ServiceError, match="a server with TLS closes a plain connection: give it TLS"):
                await network.client(1, tls=None, insecure=True, retry=IMPATIENT)

    run(play())


def test_tls_to_a_server_without_it_says_so() -> None:
    async def play() -> None:
        async with Network(server={"tls": None, "insecure": True}) as network:
            with pytest.raises(ServiceError, match="what listens there speaks no TLS: check the port"):
                await network.client(1, tls=ClientTls(authority().pem), insecure=False, retry=IMPATIENT)

    run(play())


def test_an_address_that_is_taken_is_one_sentence() -> None:
    async def play() -> None:
        async with Network() as network:
            other = serve(address=network.address)
            with pytest.raises(ParameterError, match=r"another process listens there; stop it, or give another port$"):
                await other.start()

    run(play())
