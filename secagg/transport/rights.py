"""What operators may do: three roles, and the one table that says which of them a call needs.

Roles are steps: each may do what the one before it may. A tenant is a wall: an operator knows sessions of its own
only, whatever its role. Must not know connections, logins or sessions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import Final

from secagg.store.base import check_tenant
from secagg.transport.errors import Refusal
from secagg.transport.refusals import CallRefusedError


class Role(Enum):
    """What an operator is for.

    VIEWER: sees how far sessions are. OPERATOR: also runs them and has their sums. ADMIN: also removes what nobody
    may have fetched.
    """

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


_STEPS: Final = tuple(Role)

LEAST_ROLE: Final[Mapping[str, Role]] = MappingProxyType(
    {
        "ListSessions": Role.VIEWER,
        "GetStatus": Role.VIEWER,
        "WatchSession": Role.VIEWER,
        "ListClients": Role.VIEWER,
        "CreateSession": Role.OPERATOR,
        "AbortSession": Role.OPERATOR,
        "DropClient": Role.OPERATOR,
        "GetEvidence": Role.VIEWER,
        "GetResult": Role.OPERATOR,
        "AcknowledgeResult": Role.OPERATOR,
        "DiscardResult": Role.ADMIN,
    }
)
"""Every call of the service Administration, and the lowest role that may make it."""


@dataclass(frozen=True, slots=True)
class OperatorRights:
    """An operator, as a server's configuration has it.

    Attributes:
        key: its 32-byte Ed25519 public key.
        role: what it may do.
        tenant: whose sessions it knows, and its own belong to.

    Raises:
        ParameterError: a tenant that is none.
    """

    key: bytes = field(repr=False)
    role: Role = Role.ADMIN
    tenant: str = ""

    def __post_init__(self) -> None:
        check_tenant(self.tenant)

    def to_read(self) -> OperatorRights:
        """The rights of a token of this operator that is for looking only: a viewer's, in the same tenant."""
        return replace(self, role=Role.VIEWER)

    def require(self, call: str) -> None:
        """Demand the role that a call needs.

        Args:
            call: its name, as in the .proto file.

        Raises:
            CallRefusedError: this one is below it.
        """
        needed = LEAST_ROLE[call]
        if _STEPS.index(self.role) < _STEPS.index(needed):
            raise CallRefusedError(
                Refusal.ROLE_TOO_LOW,
                f"{call} needs the role {needed.value}, and this operator has the role {self.role.value}; ask whoever "
                "configures the server",
            )
