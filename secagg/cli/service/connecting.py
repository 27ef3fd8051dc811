"""Options of the commands that talk to a server, and what they share: TLS, and an extra that may be missing.

Must not know what the commands ask the server.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, get_type_hints

import typer

import secagg
from secagg.cli.options import MaybePath, MaybeText
from secagg.identity.keys import load_identity

if TYPE_CHECKING:
    from secagg.transport.grpc import ClientTls, Operator, RetryPolicy

_Told = TypeVar("_Told")
_OPERATOR_GIVE_UP_SECONDS: Final = 30.0

Server = Annotated[
    str, typer.Option(metavar="HOST:PORT", help="The server; for clients also https://HOST:PORT, over HTTP.")
]
CaFile = Annotated[
    MaybePath,
    typer.Option(
        "--ca", metavar="FILE", help="Authority of the server's certificate in PEM; gRPC's own list unless given."
    ),
]
CertificateFile = Annotated[
    MaybePath, typer.Option("--certificate", metavar="FILE", help="This caller's certificate in PEM, for mutual TLS.")
]
KeyFile = Annotated[MaybePath, typer.Option("--key", metavar="FILE", help="The private key of --certificate in PEM.")]
ServerName = Annotated[
    MaybeText,
    typer.Option("--server-name", metavar="NAME", help="Name in the server's certificate; the host's unless given."),
]
Plaintext = Annotated[bool, typer.Option("--plaintext", help="No TLS: for trials, with a server on loopback only.")]
GiveUp = Annotated[
    float, typer.Option("--give-up", metavar="SECONDS", help="Stop when the server was unreachable for so long.")
]
PageServer = Annotated[
    str, typer.Option("--server", metavar="https://HOST:PORT", help="Where the server shows its page: that of [http].")
]
OperatorKey = Annotated[
    Path, typer.Option("--identity", metavar="FILE", help="An operator's private key, of `secagg keygen`.")
]


def client_tls(
    ca: Path | None, certificate: Path | None, key: Path | None, server_name: str | None, plaintext: bool
) -> ClientTls | None:
    """Return what to believe and to show; None with --plaintext.

    Raises:
        ParameterError: options that exclude each other, or files that cannot be read.
    """
    from secagg.transport.grpc import ClientTls
    from secagg.transport.tls import CERTIFICATE, PRIVATE_KEY, pem_file

    if not plaintext:
        for option, path, kind in (
            ("--ca", ca, CERTIFICATE),
            ("--certificate", certificate, CERTIFICATE),
            ("--key", key, PRIVATE_KEY),
        ):
            try:
                if path is not None:
                    pem_file(path, kind)
            except secagg.ParameterError as error:
                raise secagg.ParameterError(f"{option}: {error}") from error
        return ClientTls.from_files(ca, certificate, key, server_name)
    for name, value in (("--ca", ca), ("--certificate", certificate), ("--key", key), ("--server-name", server_name)):
        if value is not None:
            raise secagg.ParameterError(f"--plaintext does not go with {name}; leave one of them out")
    return None


def operator_client(
    command: str,
    server: Server,
    identity: OperatorKey,
    ca: CaFile = None,
    certificate: CertificateFile = None,
    key: KeyFile = None,
    server_name: ServerName = None,
    plaintext: Plaintext = False,
    give_up: GiveUp = _OPERATOR_GIVE_UP_SECONDS,
) -> Operator:
    """Return what an operator's command asks a server through.

    Raises:
        ParameterError: a missing package, options that exclude each other, or a file that is not right.
    """
    with needs_service(command):
        from secagg.transport.grpc import Operator
    return Operator(
        server,
        identity=load_identity(identity),
        tls=client_tls(ca, certificate, key, server_name, plaintext),
        insecure=plaintext,
        retry=retry_policy(give_up),
    )


@dataclass(frozen=True, slots=True)
class PageOfOperator:
    """Where a page is, and with whose key a link to it is made.

    Attributes:
        server, tls, insecure, retry: as for `secagg.transport.http.operator_link`.
        identity: the operator's private key.
    """

    server: str
    identity: secagg.IdentityKey
    tls: ClientTls | None
    insecure: bool
    retry: RetryPolicy


def page_of_operator(
    command: str,
    server: PageServer,
    identity: OperatorKey,
    ca: CaFile = None,
    certificate: CertificateFile = None,
    key: KeyFile = None,
    server_name: ServerName = None,
    plaintext: Plaintext = False,
    give_up: GiveUp = _OPERATOR_GIVE_UP_SECONDS,
) -> PageOfOperator:
    """Return what a link is made for.

    Raises:
        ParameterError: a missing package, options that exclude each other, an address of gRPC, or a file that is not
            right.
    """
    with needs_service(command):
        import secagg.transport.http
        import secagg.transport.tls
    if "://" not in server:
        raise secagg.ParameterError(
            f"--server {server} is no address of a page; give https://HOST:PORT, with the port of [http]"
        )
    tls = client_tls(ca, certificate, key, server_name, plaintext)
    return PageOfOperator(server, load_identity(identity), tls, plaintext, retry_policy(give_up))


def operated(
    command: str, client: Callable[..., Any] = operator_client
) -> Callable[[Callable[..., _Told]], Callable[..., _Told]]:
    """Give a command the options of `client`; it is called with what that returns, and then its own options.

    Typer reads a command's options from its signature, so that the result has one with both: those that say where the
    server is first, the other ones of the connection last but for --json.
    """

    def decorate(ask: Callable[..., _Told]) -> Callable[..., _Told]:
        reach, own = _options_of(client), _options_of(ask)
        options = [*reach[:2], *own, *reach[2:]]
        options.sort(key=lambda option: option.name == "as_json")

        @functools.wraps(ask)
        def asked(**given: Any) -> _Told:
            identity = given["identity"]
            operator = client(command, **{each.name: given.pop(each.name) for each in reach})
            from secagg.transport.errors import Refusal, ServiceError

            try:
                return ask(operator, **given)
            except ServiceError as error:
                if error.refusal is not Refusal.NOT_AN_OPERATOR:
                    raise
                said = f"{error}; that is the key of --identity {identity}"
                raise ServiceError(said, error.code, error.refusal) from error

        asked.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        asked.__annotations__ = {option.name: option.annotation for option in options}
        return asked

    return decorate


def _options_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters behind the first one, by keyword, with their annotations as types."""
    hints = get_type_hints(function, localns={"Operator": object}, include_extras=True)
    behind = list(inspect.signature(function).parameters.values())[1:]
    return [each.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[each.name]) for each in behind]


def retry_policy(give_up: float) -> RetryPolicy:
    """Return how long calls are repeated.

    Raises:
        ParameterError: no positive number of seconds.
    """
    from secagg.transport.grpc import RetryPolicy

    if not 0 < give_up < float("inf"):
        raise secagg.ParameterError(f"--give-up {give_up:g} is no positive number of seconds; give one, such as 60")
    return RetryPolicy(give_up_seconds=give_up)


@contextmanager
def needs_service(command: str) -> Iterator[None]:
    """Around imports of the network service: turn a missing package into a sentence, and keep gRPC's own log away."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        yield
    except secagg.MissingExtraError:
        raise
    except ImportError as error:
        raise secagg.MissingExtraError(
            f"`secagg {command}` needs the package {error.name}, which is not installed: pip install 'secagg[grpc]'"
        ) from error
