"""Servers over HTTP that lie or are broken, and what stands between: the client ends with one clear error."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from secagg import DecodeError, Integers, PeerMisbehaved, SecAggError, ServerSession, SessionParameters, Violation
from secagg.errors import ParameterError
from secagg.transport import service_pb2 as pb
from secagg.transport.endpoints import endpoint_of
from secagg.transport.grpc import ClientTls, DroppedError, Refusal, ServiceError, UnreachableError
from secagg.transport.grpc.endpoint import GrpcEndpoint
from secagg.transport.http.contexts import server_context
from secagg.transport.http.door import Door
from secagg.transport.http.endpoint import HttpEndpoint
from secagg.transport.tls import split_address
from tests.transport.grpc.network import ATTEMPTS, IMPATIENT, Network, Watch, client_tls, run, server_tls
from tests.transport.http.web import PROTOBUF

KINDS: dict[str, Any] = {"Login": pb.LoginRequest, "NextRequest": pb.NextRequestRequest, "Answer": pb.AnswerRequest}


class Lied:
    """What client 1 of a lying server ended with."""

    def __init__(self) -> None:
        self.watch = Watch()
        self.calls: list[str] = []
        self.error: Any


def lie(**replies: Callable[[Any], Any]) -> Lied:
    """Serve one session, honestly but for the calls that are replaced by what gives a message or a Response."""
    lied = Lied()

    async def play() -> None:
        network = Network()
        session = ServerSession(network.parameters)
        honest = {
            "Challenge": pb.ChallengeReply(nonce=bytes(32)),
            "Login": pb.LoginReply(token=bytes(32)),
            "GetOffer": pb.GetOfferReply(offer=session.offer),
            "NextRequest": pb.NextRequestReply(request=session.requests[1]),
            "Answer": pb.AnswerReply(outcome=pb.AnswerReply.OUTCOME_ACCEPTED),
        }

        async def reply(request: Request) -> Response:
            name = request.path_params["name"]
            lied.calls.append(name)
            content = await request.body()
            asked = KINDS[name].FromString(content) if name in KINDS else content
            made = replies[name](asked) if name in replies else honest[name]
            return made if isinstance(made, Response) else Response(made.SerializeToString(), media_type=PROTOBUF)

        app = Starlette(routes=[Route("/secagg/v1/{name}", reply, methods=["POST"])])
        tls = server_context(server_tls())
        door = Door(app, most=10, stall_seconds=60.0, idle_seconds=60.0, headers=(), tls=tls)
        port = await door.listen("localhost", 0)
        with pytest.raises(SecAggError) as caught:
            await network.client(1, server=f"https://localhost:{port}", observer=lied.watch, retry=IMPATIENT)
        lied.error = caught.value
        await door.close(0)

    run(play())
    return lied


def test_an_offer_that_is_none() -> None:
    assert isinstance(lie(GetOffer=lambda _: pb.GetOfferReply(offer=b"no offer")).error, DecodeError)


def test_an_offer_of_a_cohort_without_this_client() -> None:
    parameters = SessionParameters.choose(
        clients=(2, 3, 4), vectors={"v": Integers(0, 1, length=1)}, max_dropout=0.0, max_corrupt=0.0
    )
    lied = lie(GetOffer=lambda _: pb.GetOfferReply(offer=ServerSession(parameters).offer))
    assert isinstance(lied.error, PeerMisbehaved)
    assert lied.error.violation is Violation.OFFER_COHORT_WITHOUT_THIS_CLIENT
    assert "Answer" not in lied.calls


def test_a_server_that_asks_again_what_was_answered() -> None:
    lied = lie()
    assert isinstance(lied.error, ServiceError)
    assert "asks again" in str(lied.error)


@pytest.mark.parametrize("nonce", [b"", bytes(31), bytes(513), bytes(100_000)])
def test_nothing_but_a_nonce_is_signed(nonce: bytes) -> None:
    lied = lie(Challenge=lambda _: pb.ChallengeReply(nonce=nonce))
    assert isinstance(lied.error, ServiceError)
    assert f"nonce of {len(nonce)} bytes" in str(lied.error)
    assert "Login" not in lied.calls


def failed(status: int, **detail: Any) -> Callable[[Any], Response]:
    return lambda _: Response(pb.ErrorDetail(**detail).SerializeToString(), status, media_type=PROTOBUF)


def test_a_server_that_never_knows_the_token() -> None:
    lied = lie(GetOffer=failed(401, reason="TOKEN_UNKNOWN", retry=True, message="who?"))
    assert isinstance(lied.error, UnreachableError)
    assert (lied.error.refusal, lied.error.code) == (Refusal.TOKEN_UNKNOWN, "UNAUTHENTICATED")
    assert lied.watch.logins == ATTEMPTS


def test_a_drop_has_its_rule() -> None:
    lied = lie(Answer=failed(410, reason="DROPPED", rule_id="S05", rule="SECOND_ANSWER_DIFFERS", message="gone"))
    assert isinstance(lied.error, DroppedError)
    assert lied.error.drop_reason is not None
    assert lied.error.drop_reason.value == "S05"


@pytest.mark.parametrize(
    ("status", "body", "kind", "again"),
    [
        (403, b"<html>no</html>", "text/html", False),
        (404, b"", "text/plain", False),
        (301, b"", "text/plain", False),
        (204, b"", "text/plain", False),
        (403, b"\xff\xff", PROTOBUF, False),
        (502, b"<html>bad gateway</html>", "text/html", True),
        (503, b"", "text/plain", True),
        (429, b"\xff", PROTOBUF, True),
    ],
)
def test_what_whoever_stands_between_says(status: int, body: bytes, kind: str, again: bool) -> None:
    lied = lie(GetOffer=lambda _: Response(body, status, media_type=kind))
    assert type(lied.error) is (UnreachableError if again else ServiceError)
    assert lied.error.code == f"HTTP {status}"
    assert len(lied.watch.retries) == (ATTEMPTS - 1 if again else 0)


def test_a_refusal_of_a_later_release() -> None:
    lied = lie(GetOffer=failed(418, reason="OF_A_LATER_RELEASE", message="no"))
    assert (type(lied.error), lied.watch.retries) == (ServiceError, [])
    assert str(lied.error).endswith("refused GetOffer: HTTP 418: no")


def test_a_reply_that_is_no_message_or_has_no_end() -> None:
    lied = lie(GetOffer=lambda _: Response(b"\xff\xff\xff", media_type=PROTOBUF))
    assert isinstance(lied.error, ServiceError)
    assert "is this a server of secagg?" in str(lied.error)
    lied = lie(GetOffer=lambda _: Response(bytes((1 << 26) + 1), media_type=PROTOBUF))
    assert isinstance(lied.error, ServiceError)
    assert "a reply of more than 67108864 bytes" in str(lied.error)
    lied = lie(GetOffer=lambda _: Response(bytes((1 << 16) + 1), 403, media_type=PROTOBUF))
    assert "a reply of more than 65536 bytes" in str(lied.error)


@pytest.mark.parametrize("name", ["Challenge", "Login", "GetOffer", "NextRequest", "Answer"])
def test_a_page_in_the_place_of_a_reply(name: str) -> None:
    """As a network has it that wants a password first: an empty one would be a message."""
    lied = lie(**{name: lambda _: Response(b"", media_type="text/html")})
    assert (type(lied.error), lied.watch.retries) == (ServiceError, [])
    assert "not the service's but of something between" in str(lied.error)
    assert lied.calls[-1] == name


def test_a_login_is_taken_nowhere_else() -> None:
    lied = lie(GetOffer=lambda _: Response(b"", 307, {"location": "/secagg/v1/Elsewhere"}))
    assert (type(lied.error), lied.error.code, lied.calls[-1]) == (ServiceError, "HTTP 307", "GetOffer")


def test_a_certificate_that_is_not_believed_gets_no_other_try() -> None:
    async def play() -> None:
        network = Network()
        tls = server_context(server_tls())
        door = Door(Starlette(), most=10, stall_seconds=60.0, idle_seconds=60.0, headers=(), tls=tls)
        port = await door.listen("localhost", 0)
        for mine in (ClientTls(), ClientTls(client_tls().authority, server_name="other.example.org")):
            watch = Watch()
            with pytest.raises(ServiceError, match="certificate that is not accepted") as caught:
                await network.client(1, server=f"https://localhost:{port}", tls=mine, observer=watch)
            assert (type(caught.value), watch.retries) == (ServiceError, [])
        with pytest.raises(UnreachableError):
            await network.client(1, server=f"http://localhost:{port}", tls=None, insecure=True, retry=IMPATIENT)
        await door.close(0)
        with pytest.raises(UnreachableError, match="nothing listens there"):
            await network.client(1, server=f"https://localhost:{port}", retry=IMPATIENT)

    run(play())


def test_the_port_of_the_other_transport_is_named() -> None:
    async def play() -> None:
        async with Network() as network:
            port = split_address(network.address)[1]
            for scheme, tls in (("https", client_tls()), ("http", None)):
                with pytest.raises(UnreachableError, match="check the port, which may be gRPC's, and whether it"):
                    await network.client(
                        1, server=f"{scheme}://localhost:{port}", tls=tls, insecure=tls is None, retry=IMPATIENT
                    )
        context = server_context(server_tls())
        door = Door(Starlette(), most=10, stall_seconds=60.0, idle_seconds=60.0, headers=(), tls=context)
        port = await door.listen("127.0.0.1", 0)
        named = ClientTls(client_tls().authority, server_name="localhost")
        with pytest.raises(UnreachableError, match="speaks no gRPC: check the port, or give https://host:port"):
            await network.client(1, server=f"127.0.0.1:{port}", tls=named, retry=IMPATIENT)
        with pytest.raises(ServiceError, match="HTTP 404: Not Found; that is no reply of secagg: check host, port"):
            await network.client(1, server=f"https://127.0.0.1:{port}", tls=named, retry=IMPATIENT)
        await door.close(0)

    run(play())


@pytest.mark.parametrize(
    ("address", "insecure", "sentence"),
    [
        ("http://localhost:1", False, "http://localhost:1 is without TLS; give https://, or insecure=True"),
        ("https://localhost:1", True, "https://localhost:1 is with TLS, and insecure=True"),
        ("grpc://localhost:1", False, "'grpc://localhost:1' is no address; give https://host"),
    ],
)
def test_what_an_address_contradicts_is_named(address: str, insecure: bool, sentence: str) -> None:
    with pytest.raises(ParameterError) as caught:
        HttpEndpoint(address, None, insecure)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    "address", ["https:/localhost:1", "https:localhost:1", "HTTPS:/localhost", "http:/localhost:1"]
)
def test_who_leaves_out_a_slash_is_told_how_addresses_of_http_are(address: str) -> None:
    with pytest.raises(ParameterError, match=r"is no address; give https://host, https://host:port or host:port"):
        endpoint_of(address, None, False)
    assert isinstance(endpoint_of("https:8443", None, False), GrpcEndpoint)


@pytest.mark.parametrize(
    "said",
    [
        "[Errno -2] Name or service not known",
        "[Errno -3] Temporary failure in name resolution",
        "errors resolving no.example:1: [field:hostname lookup error:address lookup failed for no.example:1: Domain "
        "name not found]",
    ],
)
@pytest.mark.parametrize("address", ["https://no.example:1", "no.example:1"])
def test_a_name_without_an_address_is_said(said: str, address: str) -> None:
    hint = endpoint_of(address, None, False).hint(said)
    assert hint == "; its name has no address here: check its spelling, and whether this machine resolves names"


def test_operators_are_told_that_they_call_over_grpc() -> None:
    with pytest.raises(ParameterError, match=r"operators call over gRPC: give host:port of \[listen\]"):
        GrpcEndpoint("https://localhost:8443", None, insecure=False)


@pytest.mark.parametrize(
    ("address", "insecure"),
    [
        ("http://sums.example.org", True),
        ("http://localhost:1", False),
        ("https://localhost:1", True),
        ("https://", False),
        ("https://localhost:99999", False),
        ("https://localhost:x", False),
        ("https://a@localhost", False),
        ("https://localhost?x=1", False),
        ("ftp://localhost", False),
        ("https://sums.example.org/\x01", False),
        ("https://[::1", False),
    ],
)
def test_addresses_that_are_none(address: str, insecure: bool) -> None:
    with pytest.raises(ParameterError):
        HttpEndpoint(address, None, insecure)


@pytest.mark.parametrize("proxy", ["gopher://proxy:1", "http://proxy:x", "socks5://proxy:1"])
def test_a_proxy_that_cannot_be_used_is_one_sentence(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setitem(sys.modules, "socksio", None)

    async def play() -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(ParameterError, match=r"or name sums\.example\.org in NO_PROXY"):
            HttpEndpoint("https://sums.example.org", client_tls(), insecure=False).open()
        await HttpEndpoint("https://localhost", client_tls(), insecure=False).open().close()

    run(play())


def test_the_name_that_is_signed_is_the_one_that_was_dialled() -> None:
    assert (
        HttpEndpoint("https://Sums.example.org/behind/a/path", None, insecure=False).server_name == "sums.example.org"
    )
    assert HttpEndpoint("https://[::1]:8443", None, insecure=False).server_name == "::1"
    renamed = HttpEndpoint("https://10.0.0.1", ClientTls(server_name="sums.example.org"), insecure=False)
    assert renamed.server_name == "sums.example.org"


def loaded(program: str) -> str:
    run_ = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return run_.stdout + run_.stderr.strip().rpartition("\n")[2]


@pytest.mark.parametrize("package", ["httpx", "starlette", "uvicorn", "tenacity"])
def test_a_missing_extra_is_one_sentence(package: str) -> None:
    said = loaded(f"import sys; sys.modules[{package!r}] = None; import secagg.transport.http")
    assert said == (
        f"secagg.errors.MissingExtraError: the service over HTTP needs the package {package}, which is not installed: "
        "pip install 'secagg[http]'"
    )


def test_neither_transport_needs_the_other_ones_packages() -> None:
    without = "import sys; sys.modules['grpc'] = None; from secagg.transport.http import participate; print('whole')"
    assert loaded(without) == "whole\n"
    without = "import sys; sys.modules['httpx'] = None; from secagg.transport.grpc import participate; print('whole')"
    assert loaded(without) == "whole\n"
    without = (
        "import sys; sys.modules['httpx'] = None\n"
        "from secagg.transport.grpc import participate_blocking\n"
        "participate_blocking('https://localhost', {}, session='a', client_id=1)"
    )
    assert "pip install 'secagg[http]'" in loaded(without)
