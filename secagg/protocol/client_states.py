"""One frozen state for each phase of a client (Specification §7.1).

A state holds only what later phases need: building the next one is the erasure of the last. The private channel key
is gone after ShareKeys, or where dealings are signed with the private mask key and the self-mask seed after
MaskedInputCollection; after a complaint it stays for one disclosure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from secagg.crypto import aead
from secagg.crypto.hybrid import PrivateKey
from secagg.crypto.kem import KemKey
from secagg.crypto.key_schedule import Encapsulated
from secagg.crypto.secret import SecretBytes
from secagg.crypto.shamir import PAIR_BYTES
from secagg.crypto.signing import IdentityKey
from secagg.encoding.session_vector import EncodedInput
from secagg.errors import AbortReason
from secagg.executor import INLINE, Executor
from secagg.parameters import ClientId, SessionParameters, ThreatModel
from secagg.parameters.policy import ClientPolicy
from secagg.protocol.context import SessionContext, session_context
from secagg.protocol.messages import Advertisement, ClientMessage
from secagg.protocol.roster import Roster, check_identity
from secagg.protocol.secret_rows import SecretRows
from secagg.protocol.transitions import ClientPhase


@dataclass(frozen=True, slots=True)
class ClientContext(SessionContext):
    """What stays the same through a client's session; nothing secret but the identity key.

    Attributes:
        client: this client.
        neighbours: its neighbours, ascending, where the parameters say who they are; none in a chosen graph.
        identity: its signing key; None in the semi-honest model.
    """

    client: ClientId
    neighbours: tuple[ClientId, ...]
    identity: IdentityKey | None = field(repr=False)


def client_context(
    client: ClientId,
    parameters: SessionParameters,
    identity: IdentityKey | None,
    roster: Roster,
    executor: Executor = INLINE,
) -> ClientContext:
    """Derive what follows from the parameters, and check that this client can take part.

    Raises:
        ParameterError: identity, roster or installed packages do not fit; a vector that is too long.
    """
    if parameters.threat_model is ThreatModel.ACTIVE:
        check_identity(client, identity, roster)
    session = session_context(parameters, roster, executor)
    return ClientContext(
        parameters=session.parameters,
        session=session.session,
        layout=session.layout,
        suite=session.suite,
        graph=session.graph,
        roster=session.roster,
        executor=executor,
        client=client,
        neighbours=session.graph.of(client),
        identity=identity,
    )


@dataclass(frozen=True, slots=True)
class Offered:
    """Waits for the offer; `signs` says whether this client was given an identity or a roster, an empty one too."""

    phase: ClassVar[ClientPhase] = ClientPhase.OFFERED
    client: ClientId
    policy: ClientPolicy
    identity: IdentityKey | None = field(repr=False)
    roster: Roster = field(repr=False)
    signs: bool
    executor: Executor = field(default=INLINE, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class AwaitingAdvertiseKeys:
    """Accepted the offer; holds no key yet."""

    phase: ClassVar[ClientPhase] = ClientPhase.ADVERTISE_KEYS
    context: ClientContext


@dataclass(frozen=True, slots=True)
class AwaitingShareKeys:
    """Advertised its keys; `mask_secret` is what it shares, the bytes of `mask_key` or what that follows from.

    In a chosen graph `holders` are those that it drew, ascending: it never draws again.
    """

    phase: ClassVar[ClientPhase] = ClientPhase.SHARE_KEYS
    context: ClientContext
    channel_key: PrivateKey
    mask_key: PrivateKey
    mask_secret: SecretBytes
    self_mask_seed: SecretBytes
    own: Advertisement
    holders: tuple[ClientId, ...] = ()


@dataclass(frozen=True, slots=True)
class ChosenView:
    """What a client of a chosen graph (experimental) holds signatures against: its own sets, and keys it was shown.

    Attributes:
        mask_publics: mask public keys by client, its own among them.
        holders: those that it sealed shares for; once it masked, those of them with which it did.
        sharers: the sharers as bits, once it masked.
        contributors: the contributors as bits, once it acknowledged them.
    """

    mask_publics: Mapping[ClientId, bytes]
    holders: tuple[ClientId, ...]
    sharers: bytes = b""
    contributors: bytes = b""


@dataclass(frozen=True, slots=True)
class AwaitingMaskedInput:
    """Shared its secrets; of the channels one receiving key for each neighbour remains.

    Attributes:
        context: session context.
        binding: cohort digest, or session digest in a sparse graph.
        mask_key: private mask key.
        self_mask_seed: 32 bytes.
        receiving_keys: 32 bytes by neighbour; in a hybrid suite from X25519 alone, until its ciphertext comes.
        mask_publics: mask public keys by client that was shown, this one's own among them.
        channel_kem: what that ciphertext is for, in a hybrid suite.
        encapsulated: in a hybrid suite, what this client encapsulated to the mask keys of those with higher ids.
        input: the host's, as soon as it is set.
        view: in a chosen graph, whom it sealed shares for.
        channel_key: in a session with signed dealings, for a disclosure; None in others.
        channel_publics: likewise, channel public keys by neighbour.
    """

    phase: ClassVar[ClientPhase] = ClientPhase.MASKED_INPUT
    context: ClientContext
    binding: bytes
    mask_key: PrivateKey
    self_mask_seed: SecretBytes
    receiving_keys: SecretRows
    mask_publics: Mapping[ClientId, bytes]
    channel_kem: KemKey | None = None
    encapsulated: Mapping[ClientId, Encapsulated] = field(default_factory=dict)
    input: EncodedInput | None = field(default=None, repr=False)
    view: ChosenView | None = field(default=None, repr=False)
    channel_key: PrivateKey | None = None
    channel_publics: Mapping[ClientId, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.receiving_keys.check_width(aead.KEY_BYTES)


@dataclass(frozen=True, slots=True)
class AccusedPair:
    """A pair that cannot be used, 144 bytes with its commitment, and its sender's channel public key."""

    channel_public: bytes
    committed: bytes


@dataclass(frozen=True, slots=True)
class AwaitingDisclosure:
    """Complained, and sent no input: what is kept serves one disclosure, and is gone after it.

    Attributes:
        context: session context.
        binding: cohort digest, or session digest in a sparse graph.
        channel_key: to prove with; None when nothing can be, or was already.
        accused: the pairs that this client could not read, by sender; empty likewise.
    """

    phase: ClassVar[ClientPhase] = ClientPhase.DISCLOSURE
    context: ClientContext
    binding: bytes
    channel_key: PrivateKey | None = None
    accused: Mapping[ClientId, AccusedPair] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AwaitingConsistencyCheck:
    """Sent its masked input; mask key and seed are erased, only shares of owners remain (and a chosen graph's view).

    `held` has two shares by owner, 72 bytes: of the seed, and of the mask key. Of each two one may be revealed, once.
    """

    phase: ClassVar[ClientPhase] = ClientPhase.CONSISTENCY_CHECK
    context: ClientContext
    binding: bytes
    held: SecretRows
    view: ChosenView | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.held.check_width(PAIR_BYTES)


@dataclass(frozen=True, slots=True)
class AwaitingUnmasking:
    """Ready to answer one unmasking request.

    Attributes:
        context: session context.
        binding: cohort digest, or session digest in a sparse graph.
        held: two shares by owner, as before; the owners are the sharers among the neighbours.
        contributors: the set that this client confirmed; None in the semi-honest model, and in a chosen graph.
        view: in a chosen graph, what this client acknowledged.
    """

    phase: ClassVar[ClientPhase] = ClientPhase.UNMASKING
    context: ClientContext
    binding: bytes
    held: SecretRows
    contributors: tuple[ClientId, ...] | None = None
    view: ChosenView | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.held.check_width(PAIR_BYTES)


@dataclass(frozen=True, slots=True)
class ClientCompleted:
    """Answered everything; holds no secret."""

    phase: ClassVar[ClientPhase] = ClientPhase.COMPLETED
    context: ClientContext


@dataclass(frozen=True, slots=True)
class ClientAborted:
    """Ended without completing; holds no secret."""

    phase: ClassVar[ClientPhase] = ClientPhase.ABORTED
    reason: AbortReason
    detail: str


def wipe(state: ClientState) -> None:
    """Overwrite the secrets of an abandoned state: a traceback may keep it alive for long (best effort)."""
    secrets: list[SecretBytes | SecretRows | PrivateKey | KemKey] = []
    match state:
        case AwaitingShareKeys():
            secrets = [state.channel_key, state.mask_key, state.mask_secret, state.self_mask_seed]
        case AwaitingMaskedInput():
            secrets = [state.mask_key, state.self_mask_seed, state.receiving_keys]
            secrets += [each.secret for each in state.encapsulated.values()]
            secrets += [key for key in (state.channel_kem, state.channel_key) if key]
        case AwaitingDisclosure():
            secrets = [state.channel_key] if state.channel_key else []
        case AwaitingConsistencyCheck() | AwaitingUnmasking():
            secrets = [state.held]
        case _:
            pass
    for secret in secrets:
        secret.wipe()


ClientState = (
    Offered
    | AwaitingAdvertiseKeys
    | AwaitingShareKeys
    | AwaitingMaskedInput
    | AwaitingDisclosure
    | AwaitingConsistencyCheck
    | AwaitingUnmasking
    | ClientCompleted
    | ClientAborted
)


@dataclass(frozen=True, slots=True)
class ClientStep:
    """What handling one message gives: the next state and the answer, if any."""

    state: ClientState
    outbound: ClientMessage | None = None
