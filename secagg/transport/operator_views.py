"""What operators see, whatever carries their calls: lists of sessions, and how far each is. Nothing here changes one.

The one place that knows whether an operator's role is enough for a call, and the one way to a session: sessions of
another tenant do not exist to it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from secagg.hosting import HostedSession, SessionHost, unknown_session
from secagg.identity.fingerprints import fingerprint
from secagg.transport import service_pb2 as pb
from secagg.transport.admission import Admission
from secagg.transport.gatekeeper import Caller, operator_in
from secagg.transport.pages import MOST_IN_PAGE, filled, place_in, require_states, token_of
from secagg.transport.rights import OperatorRights
from secagg.transport.statuses import status_message


class OperatorViews:
    """Shows operators their sessions.

    Args:
        host: has the sessions.
        admission: knows their rights.

    Attributes:
        calls: what is asked by its name, as `answer` takes it.
    """

    def __init__(self, host: SessionHost, admission: Admission) -> None:
        self._host = host
        self._admission = admission
        self.calls: Final[Mapping[str, Callable[[Any, OperatorRights], Awaitable[Any]]]] = {
            "ListSessions": self.list_sessions,
            "GetStatus": self.get_status,
        }

    async def answer(self, call: str, calling: Caller, request: Any) -> Any:
        """Answer one of `calls`.

        Raises:
            CallRefusedError: no operator, or none that may make this call.
        """
        rights = self.rights(calling, call)
        reply = await self.calls[call](request, rights)
        self.tell_of(call, rights, request)
        return reply

    def rights(self, calling: Caller, call: str) -> OperatorRights:
        """Return the rights of whoever makes a call.

        Raises:
            CallRefusedError: no operator, or none that may make this call.
        """
        rights = self._admission.rights_of(operator_in(calling))
        rights.require(call)
        return rights

    def tell_of(self, call: str, rights: OperatorRights, request: Any) -> None:
        """Tell the observer of a call that is answered."""
        session, client = getattr(request, "session", ""), getattr(request, "client", None)
        self._host.observer.operator_called(call, fingerprint(rights.key), session, client)

    async def list_sessions(self, request: pb.ListSessionsRequest, rights: OperatorRights) -> pb.ListSessionsReply:
        """List the sessions of a tenant: a page with how far they are, or all names."""
        states = require_states(request.states)
        if not request.page_size:
            named = self._host.statuses(rights.tenant, states=states, newest_first=request.newest_first)
            return pb.ListSessionsReply(sessions=[status.name for status in named])
        after, most = place_in(request.page_token), min(request.page_size, MOST_IN_PAGE)
        found = self._host.statuses(
            rights.tenant, after=after, most=most + 1, states=states, newest_first=request.newest_first
        )
        shown = found[:most] if request.without_contributors else filled(found[:most])
        reply = pb.ListSessionsReply(
            statuses=[status_message(status) for status in shown],
            next_page_token=token_of(shown[-1]) if len(shown) < len(found) else "",
        )
        if request.without_contributors:
            for status in reply.statuses:
                status.ClearField("contributors")
        return reply

    async def get_status(self, request: pb.GetStatusRequest, rights: OperatorRights) -> pb.GetStatusReply:
        """Say how far a session is."""
        if request.session in self._host.damaged and not rights.tenant:
            return status_message(self._host.status(request.session))
        return status_message((await self.own(request.session, rights)).status())

    async def own(self, name: str, rights: OperatorRights) -> HostedSession:
        """Return a session of the operator's tenant.

        Raises:
            UnknownSessionError: there is none, whether or not another tenant has one of this name.
        """
        if rights.tenant and name in self._host.damaged:
            raise unknown_session(name)
        session = await self._host.find(name)
        if session.record.tenant != rights.tenant:
            raise unknown_session(name)
        return session
