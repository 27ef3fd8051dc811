"""What a session tells its host besides messages (Specification §7): plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from secagg.errors import AbortReason, DropReason
from secagg.parameters import ClientId
from secagg.protocol.messages import Round


class Stage(Enum):
    """What a server does while it closes the last round, which may take long; told as `Progress`."""

    REBUILDING_SECRETS = "rebuilding_secrets"
    """Secrets are rebuilt from shares, and keys of pairs agreed."""
    REMOVING_MASKS = "removing_masks"
    """Masks are made and subtracted from the sum."""
    DECODING_SUM = "decoding_sum"
    """The words of the sum become arrays."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a server is with a stage: numbers of the cohort and its vector, which no input has a part in.

    Attributes:
        stage: what it does.
        done: work that is done; 0 when the stage begins.
        whole: all work of the stage, at least 1: secrets and lots of key agreements, then words of masks, then one sum.
    """

    stage: Stage
    done: int
    whole: int


@dataclass(frozen=True, slots=True)
class ClientDropped:
    """The server goes on without a client; what the client contributed in closed rounds stays.

    Attributes:
        client: who was dropped.
        round: the round that was open.
        reason: the rule of the validation table.
        detail: one sentence for a person.
    """

    client: ClientId
    round: Round
    reason: DropReason
    detail: str


@dataclass(frozen=True, slots=True)
class AnswerRepeated:
    """A client sent the same answer again; nothing changed.

    Attributes:
        client: who sent it.
        round: the open round.
    """

    client: ClientId
    round: Round


@dataclass(frozen=True, slots=True)
class LateMessageRefused:
    """A message of a closed round, or of a client that was dropped; nothing changed, and it never counts.

    Attributes:
        client: who sent it.
        round: the round the message belongs to, or None for an Abort.
    """

    client: ClientId
    round: Round | None


@dataclass(frozen=True, slots=True)
class RoundClosed:
    """A round ended.

    Attributes:
        round: which.
        answered: clients that go on to the next round, ascending.
    """

    round: Round
    answered: tuple[ClientId, ...]


@dataclass(frozen=True, slots=True)
class ShareInconsistent:
    """A holder's share of a secret is not the one that was dealt; the sum was recovered without it.

    Attributes:
        holder: who revealed the share.
        owner: whose secret it was a share of.
        reason: SHARE_NOT_AS_DEALT where dealings are signed: the holder lied. SHARE_INCONSISTENT in other sessions:
            the share does not fit the others, and either of the two may have lied.
    """

    holder: ClientId
    owner: ClientId
    reason: DropReason


@dataclass(frozen=True, slots=True)
class SessionCompleted:
    """The server released a sum over these contributors.

    Attributes:
        contributors: whose inputs are in the sum, ascending.
    """

    contributors: tuple[ClientId, ...]


@dataclass(frozen=True, slots=True)
class Blame:
    """Who made a session end (Specification §6.9).

    Attributes:
        client: who is blamed.
        reason: after complaints DEALT_UNREADABLE_PAIR, COMPLAINT_ABOUT_A_READABLE_PAIR or DISCLOSURE_INVALID; where a
            secret was not rebuilt, DEALT_INCONSISTENT_SHARES.
        evidence: bytes that `secagg.verify_evidence` accepts, with the roster alone; None for a hint, which may be
            wrong about an honest client.
    """

    client: ClientId
    reason: DropReason
    evidence: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SessionAborted:
    """A session ended without a result.

    Attributes:
        reason: the rule of the validation table.
        detail: one sentence for a person.
        blame: who made it end so, ascending by client.
    """

    reason: AbortReason
    detail: str
    blame: tuple[Blame, ...] = ()


ServerEvent = (
    ClientDropped
    | AnswerRepeated
    | LateMessageRefused
    | RoundClosed
    | ShareInconsistent
    | SessionCompleted
    | SessionAborted
)
"""What `ServerSession.receive` returns, and `take_events` after a round."""
