"""Where a client is in one session, and all its secrets there."""

from dataclasses import dataclass
from enum import Enum

from protocol_specs.reference import keys, vectors


class Phase(Enum):
    """What the client waits for."""

    OFFERED = "the offer"
    ADVERTISE_KEYS = "AdvertiseKeysRequest"
    SHARE_KEYS = "ShareKeysRequest"
    MASKED_INPUT = "MaskedInputCollectionRequest"
    DISCLOSURE = "DisclosureRequest: it has complained"
    CONSISTENCY_CHECK = "ConsistencyCheckRequest"
    UNMASKING = "UnmaskingRequest"
    COMPLETED = "nothing: it has answered every round"
    ABORTED = "nothing: the session has ended"


@dataclass(slots=True)
class Secrets:
    """All secrets of a session; each is None or empty before it is drawn and after it is erased."""

    channel_private: bytes | None = None
    mask_private: bytes | None = None
    mask_secret: bytes | None = None
    self_mask_seed: bytes | None = None
    incoming_channel_keys: dict[int, bytes] | None = None
    """In a hybrid suite from X25519 alone; the second half of `channel_private` is for what comes."""
    encapsulated: dict[int, keys.Encapsulated] | None = None
    """To the mask keys of neighbours with higher ids; from MaskedInput on, also from those with lower ones."""
    accused: dict[int, bytes] | None = None
    """The sealed pairs that it complained of, with signed dealings committed ones, by their senders."""
    seed_shares: dict[int, bytes] | None = None
    mask_key_shares: dict[int, bytes] | None = None
    inputs: tuple[vectors.Inputs, int] | None = None
