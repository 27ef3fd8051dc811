"""Errors, by culprit and by fatality (Specification §8).

Every exception that secagg raises on purpose is a :class:`SecAggError`; any other exception is a bug.
A local mistake leaves the session as it was; a remote mistake ends it. The three enums name every rule
of the validation table in the specification: their values are the ids used there.
"""

from __future__ import annotations

from enum import Enum


class Violation(Enum):
    """A rule that a server broke, as an honest client sees it (Specification §8, role C)."""

    OFFER_PARAMETERS_INVALID = "C01"
    OFFER_COHORT_BELOW_POLICY = "C02"
    OFFER_THRESHOLD_BELOW_POLICY = "C03"
    OFFER_MINIMUM_CONTRIBUTORS_BELOW_POLICY = "C04"
    OFFER_THREAT_MODEL_NOT_ALLOWED = "C05"
    OFFER_SUITE_NOT_ALLOWED = "C06"
    OFFER_VECTOR_ABOVE_POLICY = "C07"
    OFFER_CONTEXT_NOT_EXPECTED = "C08"
    OFFER_COHORT_WITHOUT_THIS_CLIENT = "C09"
    OFFER_COHORT_MEMBER_NOT_IN_ROSTER = "C10"
    MESSAGE_NOT_EXPECTED_IN_THIS_PHASE = "C11"
    MESSAGE_OF_ANOTHER_SESSION = "C12"
    OFFER_COHORT_ABOVE_POLICY = "C13"
    OFFER_VECTORS_NOT_EXPECTED = "C14"
    OFFER_MAX_WEIGHT_NOT_EXPECTED = "C15"
    OFFER_TOPOLOGY_NOT_ALLOWED = "C16"
    ADVERTISEMENT_OF_A_STRANGER = "C20"
    OWN_ADVERTISEMENT_MISSING = "C22"
    OWN_ADVERTISEMENT_CHANGED = "C23"
    PUBLIC_KEY_REPEATED = "C24"
    PUBLIC_KEY_OF_LOW_ORDER = "C25"
    ADVERTISEMENT_SIGNATURE_INVALID = "C26"
    ADVERTISED_BELOW_THRESHOLD = "C27"
    PUBLIC_KEY_NOT_CANONICAL = "C28"
    TOO_MANY_CHOOSERS = "C29"
    CIPHERTEXT_OF_A_STRANGER = "C30"
    SHARERS_BELOW_THRESHOLD = "C33"
    SHARERS_INCOMPLETE = "C34"
    DISCLOSURE_OF_A_CLIENT_NOT_ACCUSED = "C36"
    DISCLOSURE_OF_ANOTHER_PAIR = "C37"
    DEALING_SIGNATURE_INVALID = "C38"
    DISCLOSURE_KEY_NOT_PROVABLE = "C39"
    CONTRIBUTOR_NOT_A_SHARER = "C40"
    CONTRIBUTORS_BELOW_MINIMUM = "C41"
    CONTRIBUTORS_BELOW_THRESHOLD = "C42"
    OWN_INPUT_NOT_AMONG_CONTRIBUTORS = "C43"
    INCLUSION_SIGNATURE_INVALID = "C44"
    INCLUSIONS_OF_WRONG_CLIENTS = "C45"
    CLIENT_LISTED_AS_BOTH_SURVIVOR_AND_DROPPED = "C50"
    SURVIVOR_NOT_A_SHARER = "C51"
    DROPPED_CLIENT_NOT_A_SHARER = "C52"
    SHARER_NEITHER_SURVIVOR_NOR_DROPPED = "C53"
    THIS_CLIENT_LISTED_FOR_UNMASKING = "C54"
    SURVIVORS_BELOW_THRESHOLD = "C55"
    SURVIVORS_BELOW_MINIMUM_CONTRIBUTORS = "C56"
    SURVIVORS_DIFFER_FROM_CONFIRMED_CONTRIBUTORS = "C57"
    CONFIRMATION_OF_A_STRANGER = "C58"
    CONFIRMATION_SIGNATURE_INVALID = "C59"
    CONFIRMATIONS_BELOW_THRESHOLD = "C60"
    OWN_CONFIRMATION_MISSING = "C61"
    SECOND_UNMASKING_REQUEST = "C62"


class DropReason(Enum):
    """Why the server goes on without a client (Specification §8, role S)."""

    DID_NOT_ANSWER_IN_TIME = "S01"
    MESSAGE_MALFORMED = "S02"
    MESSAGE_NOT_EXPECTED_IN_THIS_PHASE = "S03"
    MESSAGE_OF_ANOTHER_SESSION = "S04"
    SECOND_ANSWER_DIFFERS = "S05"
    CLIENT_ABORTED = "S06"
    ADVERTISEMENT_OF_ANOTHER_CLIENT = "S10"
    ADVERTISEMENT_SIGNATURE_INVALID = "S11"
    PUBLIC_KEY_REPEATED = "S12"
    PUBLIC_KEY_OF_LOW_ORDER = "S13"
    TOO_FEW_NEIGHBOURS_LEFT = "S14"
    PUBLIC_KEY_NOT_CANONICAL = "S15"
    HOLDERS_MALFORMED = "S16"
    CHANNEL_KEY_NOT_PROVABLE = "S18"
    CIPHERTEXT_RECIPIENTS_WRONG = "S20"
    DEALING_SIGNATURE_INVALID = "S21"
    DEALT_UNREADABLE_PAIR = "S22"
    DEALT_INCONSISTENT_SHARES = "S23"
    INCLUSION_SIGNATURE_INVALID = "S30"
    COMPLAINT_ABOUT_A_STRANGER = "S32"
    COMPLAINT_ABOUT_A_READABLE_PAIR = "S33"
    DISCLOSURE_INVALID = "S34"
    CONFIRMATION_SIGNATURE_INVALID = "S40"
    UNMASKING_SHARES_OF_WRONG_CLIENTS = "S50"
    SHARE_NOT_CANONICAL = "S51"
    SHARE_INCONSISTENT = "S52"
    SHARE_NOT_AS_DEALT = "S53"


class AbortReason(Enum):
    """Why a session ended without a result (Specification §8, both roles)."""

    TOO_FEW_ADVERTISED = "A01"
    TOO_FEW_SHARERS = "A02"
    TOO_FEW_CONTRIBUTORS = "A03"
    TOO_FEW_CONFIRMERS = "A04"
    TOO_FEW_UNMASKERS = "A05"
    SECRET_NOT_RECONSTRUCTED = "A06"  # noqa: S105 - the name of an outcome, not a password
    PEER_MISBEHAVED = "A07"
    PEER_SENT_MALFORMED_MESSAGE = "A08"
    PEER_ABORTED = "A09"
    ABORTED_BY_CALLER = "A10"
    INTERNAL_ERROR = "A11"
    ANSWERED_BEFORE_WITH_OTHER_CONTENT = "A12"
    RESULT_NOT_DECODABLE = "A13"
    CONTRIBUTORS_NOT_CONNECTED = "A14"
    CLIENTS_COMPLAINED = "A15"


class SecAggError(Exception):
    """Base class of every error that secagg raises on purpose."""


class ParameterError(SecAggError, ValueError):
    """A bad configuration or input, found before any message was made."""


class MissingExtraError(ParameterError, ImportError):
    """A package of an extra is not installed; says what to install."""


class LocalProtocolError(SecAggError):
    """The caller used a session wrongly; the session is as it was before the call."""


class RemoteProtocolError(SecAggError):
    """The peer did something forbidden; a client session that raises this is ABORTED."""


class DecodeError(RemoteProtocolError):
    """Bytes that are no message of this protocol."""


class PeerMisbehaved(RemoteProtocolError):  # noqa: N818 - a sentence, [firm] in the architecture
    """A well-formed message that the protocol forbids.

    Attributes:
        violation: the rule of the validation table that was broken.
    """

    def __init__(self, violation: Violation, detail: str) -> None:
        super().__init__(f"{detail} [{violation.value} {violation.name}]")
        self.violation = violation
        self.detail = detail

    def __reduce__(self) -> tuple[type[PeerMisbehaved], tuple[Violation, str]]:
        return type(self), (self.violation, self.detail)


class SessionAbortedError(SecAggError):
    """Use of a session that has ended.

    Attributes:
        reason: why it ended, or None when it ended with a result.
    """

    def __init__(self, message: str, reason: AbortReason | None = None) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[SessionAbortedError], tuple[str, AbortReason | None]]:
        return type(self), (str(self), self.reason)


class ParticipationRefusedError(SecAggError):
    """A session that is beyond the client's own limits on how often it is summed; nothing of the input was sent."""


class BudgetExceededError(SecAggError):
    """A release beyond what a client's budget has left for these data; nothing was counted, and nothing left."""


class EvidenceError(SecAggError):
    """Evidence about a client that shows nothing: somebody made it up, or the roster is another one."""


class InternalError(SecAggError):
    """A defect in secagg itself: please report it."""
