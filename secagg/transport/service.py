"""What a process serves, by whichever transport: who may call, how many at once, and what is answered.

Must not know what carries the calls.
"""

from __future__ import annotations

from collections.abc import Collection

from secagg.hosting import SessionHost
from secagg.transport.admission import Admission
from secagg.transport.client_calls import ClientCalls
from secagg.transport.enrolments import Enrolments
from secagg.transport.gatekeeper import Gatekeeper
from secagg.transport.limits import ServiceLimits
from secagg.transport.operator_views import OperatorViews
from secagg.transport.seats import Seats
from secagg.transport.uploads import UploadDesk
from secagg.transport.waits import Waits


class Service:
    """Shared by the transports of one process: a token, a nonce, a place and a turn are good for all of them.

    Args:
        host: has the sessions.
        admission: who may call.
        names: the names by which clients dial this server, whatever the transport.
        limits: bounds of calls, uploads and logins, of all transports together.
        waits: ends the waiting when the server stops.
        enrolments: takes claims to invitations.

    Attributes:
        host, admission, limits, waits, enrolments: as given.
        gatekeeper: knows the callers.
        seats: the places of calls.
        desk: takes uploads in.
        calls: what clients call.
        views: what operators see.
    """

    def __init__(
        self,
        host: SessionHost,
        admission: Admission,
        names: Collection[str],
        limits: ServiceLimits,
        waits: Waits,
        enrolments: Enrolments,
    ) -> None:
        self.host = host
        self.admission = admission
        self.limits = limits
        self.waits = waits
        self.enrolments = enrolments
        self.gatekeeper = Gatekeeper(admission.key_of, names, host.logins, host.logins.now, limits)
        self.seats = Seats(limits)
        self.desk = UploadDesk(limits)
        self.calls = ClientCalls(host, self.gatekeeper, admission, limits, waits, self.desk)
        self.views = OperatorViews(host, admission)
