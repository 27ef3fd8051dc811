"""Who may call, and with which key: members of cohorts, members of the roster, operators. Must not know gRPC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from secagg.errors import ParameterError
from secagg.hosting import HostedSession, HostReason, NotInCohortError, SessionHost
from secagg.identity.fingerprints import fingerprint
from secagg.parameters import ClientId, ThreatModel
from secagg.transport.errors import Refusal
from secagg.transport.gatekeeper import Caller, ClientCaller, MemberCaller, OperatorCaller
from secagg.transport.refusals import CallRefusedError
from secagg.transport.rights import OperatorRights

_KEY_BYTES: Final = 32

RosterSource = Callable[[], Mapping[ClientId, bytes]]
"""Gives client id to 32-byte key as they are valid now, without delay; raises ParameterError when none is."""


class Admission:
    """Says what is known of a caller.

    Args:
        host: has the sessions.
        operators: who administers.
        roster: the keys of all clients.
        anonymous: whether clients of semi-honest sessions without a roster need no key.

    Raises:
        ParameterError: a key of another length, or one with two sets of rights.
    """

    def __init__(
        self, host: SessionHost, operators: Mapping[str, OperatorRights], roster: RosterSource, anonymous: bool
    ) -> None:
        self._host = host
        self._rights = rights_by_key(operators)
        self._roster = roster
        self._anonymous = anonymous

    def change(self, rights: Mapping[bytes, OperatorRights]) -> None:
        """Know these operators from now on, by their keys; tokens of others are good for nothing any more."""
        self._rights = rights

    @property
    def anonymous(self) -> bool:
        """Whether clients without a key are let in."""
        return self._anonymous

    def roster(self) -> Mapping[ClientId, bytes]:
        """The keys of all clients, as they are valid now.

        Raises:
            CallRefusedError: ROSTER_NOT_VALID.
        """
        try:
            return self._roster()
        except ParameterError as error:
            raise CallRefusedError(Refusal.ROSTER_NOT_VALID, f"this server has no valid roster: {error}") from error

    def rights_of(self, caller: OperatorCaller) -> OperatorRights:
        """What an operator may do, by the token that it calls with.

        Raises:
            CallRefusedError: NOT_AN_OPERATOR.
        """
        rights = self._rights.get(caller.public_key)
        if rights is None:
            raise CallRefusedError(
                Refusal.NOT_AN_OPERATOR,
                f"the key {fingerprint(caller.public_key)} is no operator's here; give an operator's, or list its "
                "public "
                "key under operators in [identities] of the server's configuration, and reload",
            )
        return rights.to_read() if caller.reads_only else rights

    async def key_of(self, caller: Caller) -> bytes | None:
        """The key that a caller has to sign with; None for one that need not.

        Raises:
            SecAggError: it may not call.
        """
        match caller:
            case OperatorCaller():
                return self.rights_of(caller).key
            case MemberCaller(client):
                return self._key_of_member(client)
            case ClientCaller(session, client):
                return self._key_of_client(await self._host.find(session), client)

    def _key_of_member(self, client: ClientId) -> bytes | None:
        key = self.roster().get(client)
        if key is None and not self._anonymous:
            raise CallRefusedError(
                Refusal.NOT_IN_ROSTER, f"client {client} is not in the roster of this server; enroll the client"
            )
        return key

    def _key_of_client(self, session: HostedSession, client: ClientId) -> bytes | None:
        name = session.name
        if not session.includes(client):
            raise NotInCohortError(f"client {client} is not in the cohort of session {name!r}")
        key = session.roster.get(client)
        if self._host.is_revoked(session, client):
            raise CallRefusedError(
                Refusal.DROPPED,
                f"the key of client {client} was revoked: it is not the client's in the roster that is valid now",
                drop_reason=HostReason.REVOKED,
            )
        if key is None:
            open_to_all = self._anonymous and session.parameters.threat_model is ThreatModel.SEMI_HONEST
            if not open_to_all or session.roster:
                raise CallRefusedError(
                    Refusal.NOT_IN_COHORT, f"session {name!r} has no key for client {client}; enroll the client"
                )
        return key


def rights_by_key(operators: Mapping[str, OperatorRights]) -> Mapping[bytes, OperatorRights]:
    """Return the rights of operators by their keys.

    Raises:
        ParameterError: a key of another length, or one with two sets of rights.
    """
    found: dict[bytes, OperatorRights] = {}
    for name, rights in operators.items():
        if len(rights.key) != _KEY_BYTES:
            raise ParameterError(f"the key of operator {name!r} is not 32 bytes; give IdentityKey.public")
        if found.setdefault(rights.key, rights) != rights:
            raise ParameterError(f"the key of operator {name!r} is listed with other rights, too; list it once")
    return found
