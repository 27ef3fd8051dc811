"""A server that is reached by HTTP. Must not know what calls mean, nor who makes them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import SplitResult, urlsplit

import httpx
from google.protobuf.message import DecodeError as ProtobufDecodeError

from secagg.errors import ParameterError
from secagg.transport import service_pb2 as pb
from secagg.transport.endpoint import Failure, hint_of_name
from secagg.transport.http.contexts import client_context
from secagg.transport.limits import CLIENT_MESSAGE_BYTES
from secagg.transport.refusals import CARRIED, refusal_of
from secagg.transport.tls import ClientTls, check_security, is_loopback

PATH: Final = "/secagg/v1/"
_PROTOBUF: Final = "application/x-protobuf"
_BYTES: Final = "application/octet-stream"
_MAX_FAILURE_BYTES: Final = 1 << 16
_MOST_CONNECTIONS: Final = 4
_OK: Final = 200
# What whatever is between us and the server says when it is away or has too much to do.
_BROKEN: Final = frozenset({408, 425, 429, 499, 500, 502, 503, 504})
_PORTS: Final = {"https": 443, "http": 80}

Metadata = tuple[tuple[str, str], ...]
_T = TypeVar("_T")


class HttpCallError(Exception):
    """A call failed.

    Attributes:
        failure: why.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.sentence)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class HttpEndpoint:
    """Where a server is and how to talk to it.

    Attributes:
        address: `https://host`, with a port and a path before that of the service where there are any.
        tls: what to believe and to show; None takes the defaults.
        insecure: no TLS: `http://`, on loopback addresses only.

    Raises:
        ParameterError: an impossible address, or plaintext beyond loopback.
    """

    address: str
    tls: ClientTls | None
    insecure: bool

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.address)
            host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
        except ValueError:
            host = port = None
        if not (host and port and _is_url(self.address)) or _is_of_another_kind(parts):
            raise ParameterError(f"{self.address!r} is no address; give https://host, https://host:port or host:port")
        if (parts.scheme == "http") != self.insecure:
            raise ParameterError(
                f"{self.address} is with TLS, and insecure=True (--plaintext) is without; leave that out, or give http://"
                if self.insecure
                else f"{self.address} is without TLS; give https://, or insecure=True (--plaintext) besides, which is "
                "for trials on a loopback address only"
            )
        if self.tls is None and not self.insecure:
            object.__setattr__(self, "tls", ClientTls())
        check_security(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", self.tls, self.insecure)

    @property
    def host(self) -> str:
        """The host of the address."""
        return urlsplit(self.address).hostname or ""

    @property
    def server_name(self) -> str:
        """The name that is signed in a login."""
        override = None if self.tls is None else self.tls.server_name
        return override or self.host

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What calls raise that fail."""
        return (HttpCallError,)

    def open(self) -> Channel:
        """Open a channel; needs a running event loop."""
        return Channel(self)

    def stubs(self, channel: Channel) -> tuple[Calls, None]:
        """Return the calls of clients; those of operators go over gRPC."""
        return Calls(channel), None

    def failure(self, error: BaseException) -> Failure | None:
        """Return why a call failed."""
        return error.failure if isinstance(error, HttpCallError) else None

    def hint(self, said: str) -> str:
        """What a failure that looks like a broken line may be."""
        if "WRONG_VERSION_NUMBER" in said or "HTTP_REQUEST" in said:
            return "; what listens there speaks no TLS: check the port, or whether the server was started without TLS"
        if "All connection attempts failed" in said or "Connection refused" in said:
            return "; nothing listens there: check host and port, and whether the server runs with [http]"
        if "disconnected without" in said or "ReadError" in said:
            other = "whether it wants https://" if self.insecure else "whether it is that of [http]"
            return f"; what listens there ended the connection: check the port, which may be gRPC's, and {other}"
        return hint_of_name(said)


class Channel:
    """Connections to a server, made when they are needed; by the proxy that the environment names, but to loopback.

    Args:
        endpoint: where it is.

    Raises:
        ParameterError: a proxy that is none.
    """

    def __init__(self, endpoint: HttpEndpoint) -> None:
        tls = endpoint.tls
        self._address = endpoint.address.rstrip("/")
        verify = False if tls is None else client_context(tls)
        try:
            self._client = httpx.AsyncClient(
                base_url=self._address + PATH,
                verify=verify,
                timeout=None,  # noqa: S113 - each call has one for all of it
                limits=httpx.Limits(max_connections=_MOST_CONNECTIONS),
                trust_env=not is_loopback(endpoint.host),
                headers={"user-agent": "secagg", "accept": _PROTOBUF, "accept-encoding": "identity"},
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise ParameterError(
                f"the proxy of HTTPS_PROXY or ALL_PROXY cannot be used ({error}); give http://host:port, or name "
                f"{endpoint.host} in NO_PROXY"
            ) from None
        override = None if tls is None else tls.server_name
        self._extensions = {} if override is None else {"sni_hostname": override}

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def call(
        self, name: str, content: bytes | AsyncIterator[bytes], kind: str, metadata: Metadata, timeout: float, size: int
    ) -> bytes:
        """Make a call; returns the body of its reply.

        Args:
            name: of the call, with what stands in its query.
            content: its body.
            kind: the type of the body.
            metadata: headers.
            timeout: seconds for all of it.
            size: of the body, in bytes.

        Raises:
            HttpCallError: it failed.
        """
        headers = {**dict(metadata), "content-type": kind, "content-length": str(size)}
        try:
            async with asyncio.timeout(timeout), self._sent(name, content, headers) as reply:
                most = CLIENT_MESSAGE_BYTES if reply.status_code == _OK else _MAX_FAILURE_BYTES
                body = bytearray()
                async for piece in reply.aiter_raw():
                    body += piece
                    if len(body) > most:
                        raise HttpCallError(Failure("INTERNAL", f"a reply of more than {most} bytes", None, False))
        except TimeoutError:
            raise HttpCallError(Failure("DEADLINE_EXCEEDED", f"no reply in {timeout:g} s", None, again=True)) from None
        except httpx.HTTPError as error:
            raise HttpCallError(_broken(error)) from None
        if reply.status_code != _OK:
            raise HttpCallError(_refused(reply, bytes(body)))
        if not _is_ours(reply):
            # Nothing at all would be a message, too.
            said = reply.headers.get("content-type", "")[:80]
            told = f"a reply of type {said!r} is not the service's but of something between: is this its address?"
            raise HttpCallError(Failure("INTERNAL", told, None, False))
        return bytes(body)

    async def shown(self, path: str, timeout: float) -> int:
        """Return the status of what is shown to browsers below the address.

        Raises:
            HttpCallError: nobody can say.
        """
        try:
            async with asyncio.timeout(timeout):
                reply = await self._client.head(self._address + path, extensions=self._extensions)
        except TimeoutError:
            raise HttpCallError(Failure("DEADLINE_EXCEEDED", f"no reply in {timeout:g} s", None, again=True)) from None
        except httpx.HTTPError as error:
            raise HttpCallError(_broken(error)) from None
        if reply.status_code in _BROKEN:
            raise HttpCallError(_refused(reply, b""))
        return reply.status_code

    @asynccontextmanager
    async def _sent(
        self, name: str, content: bytes | AsyncIterator[bytes], headers: dict[str, str]
    ) -> AsyncIterator[httpx.Response]:
        async with self._client.stream(
            "POST", name, content=content, headers=headers, extensions=self._extensions
        ) as reply:
            yield reply


class Calls:
    """The calls of clients, each as gRPC's stubs have it, and what browsers are shown.

    Args:
        channel: carries them.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def Challenge(
        self, request: pb.ChallengeRequest, *, timeout: float, metadata: Metadata = ()
    ) -> pb.ChallengeReply:
        """Ask for a nonce."""
        return await self._call("Challenge", request, pb.ChallengeReply, metadata, timeout)

    async def Login(self, request: pb.LoginRequest, *, timeout: float, metadata: Metadata = ()) -> pb.LoginReply:
        """Give a signature for a token."""
        return await self._call("Login", request, pb.LoginReply, metadata, timeout)

    async def GetOffer(self, request: pb.GetOfferRequest, *, timeout: float, metadata: Metadata) -> pb.GetOfferReply:
        """Fetch the session's offer."""
        return await self._call("GetOffer", request, pb.GetOfferReply, metadata, timeout)

    async def NextRequest(
        self, request: pb.NextRequestRequest, *, timeout: float, metadata: Metadata
    ) -> pb.NextRequestReply:
        """Wait for the next request."""
        return await self._call("NextRequest", request, pb.NextRequestReply, metadata, timeout)

    async def Answer(self, request: pb.AnswerRequest, *, timeout: float, metadata: Metadata) -> pb.AnswerReply:
        """Hand in an answer in one piece."""
        return await self._call("Answer", request, pb.AnswerReply, metadata, timeout)

    async def NextSession(
        self, request: pb.NextSessionRequest, *, timeout: float, metadata: Metadata
    ) -> pb.NextSessionReply:
        """Wait for a session."""
        return await self._call("NextSession", request, pb.NextSessionReply, metadata, timeout)

    async def Enrol(self, request: pb.EnrolRequest, *, timeout: float, metadata: Metadata = ()) -> pb.EnrolReply:
        """Redeem an invitation."""
        return await self._call("Enrol", request, pb.EnrolReply, metadata, timeout)

    async def shown(self, path: str, *, timeout: float) -> int:
        """Return the status of a page."""
        return await self._channel.shown(path, timeout)

    async def UploadAnswer(
        self, parts: AsyncIterator[pb.UploadPart], *, timeout: float, metadata: Metadata
    ) -> pb.AnswerReply:
        """Hand in an answer in chunks, from where an earlier attempt was cut off.

        Args:
            parts: a header, then the bytes in order, from the first one on.
        """
        header = (await anext(parts)).header
        begun: pb.UploadReply = await self._call("BeginUpload", header, pb.UploadReply, metadata, timeout)
        if begun.WhichOneof("so_far") == "answer":
            return begun.answer
        at = begun.received_bytes
        if at > header.total_bytes:
            raise HttpCallError(Failure("INTERNAL", f"the server has {at} bytes, and there are less", None, False))
        name = f"UploadPart?offset={at}"
        size = header.total_bytes - at
        reply = await self._channel.call(name, _behind(parts, at), _BYTES, metadata, timeout, size)
        found: pb.UploadReply = _read("UploadPart", pb.UploadReply, reply)
        if found.WhichOneof("so_far") != "answer":
            raise HttpCallError(Failure("ABORTED", f"the server has {found.received_bytes} bytes", None, again=True))
        return found.answer

    async def _call(self, name: str, request: Any, kind: type[_T], metadata: Metadata, timeout: float) -> _T:
        content = request.SerializeToString()
        return _read(name, kind, await self._channel.call(name, content, _PROTOBUF, metadata, timeout, len(content)))


async def _behind(parts: AsyncIterator[pb.UploadPart], at: int) -> AsyncIterator[bytes]:
    """The bytes of an upload from a place on."""
    async for part in parts:
        chunk = part.chunk
        if at < len(chunk):
            yield chunk[at:] if at else chunk
        at = max(0, at - len(chunk))


def _is_of_another_kind(parts: SplitResult) -> bool:
    return bool(parts.scheme not in _PORTS or parts.query or parts.fragment or parts.username)


def _is_url(address: str) -> bool:
    try:
        httpx.URL(address)
    except httpx.InvalidURL:
        return False
    return True


def _read(name: str, kind: type[_T], body: bytes) -> _T:
    message: Any = kind
    try:
        found: _T = message.FromString(body)
        return found
    except ProtobufDecodeError:
        raise HttpCallError(
            Failure("INTERNAL", f"{len(body)} bytes are no reply to {name}: is this a server of secagg?", None, False)
        ) from None


def _is_ours(reply: httpx.Response) -> bool:
    """Whether a reply is of the type that all of the service's have."""
    kind: str = reply.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower() == _PROTOBUF


def _refused(reply: httpx.Response, body: bytes) -> Failure:
    """What a reply says that is no success."""
    if _is_ours(reply):
        try:
            detail = pb.ErrorDetail.FromString(body)
        except ProtobufDecodeError:
            detail = pb.ErrorDetail()
        if detail.reason:
            refusal = refusal_of(detail)
            code = f"HTTP {reply.status_code}" if refusal is None else CARRIED[refusal].code
            return Failure(code, detail.message, detail, detail.retry)
    said = f"{reply.reason_phrase}; that is no reply of secagg: check host, port and path of the address, and proxies"
    return Failure(f"HTTP {reply.status_code}", said, None, reply.status_code in _BROKEN)


def _broken(error: httpx.HTTPError) -> Failure:
    """What happened to a connection."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        return Failure("UNAVAILABLE", str(cause), None, again=False, certificate=True)
    return Failure("UNAVAILABLE", str(error) or type(error).__name__, None, isinstance(error, httpx.TransportError))
