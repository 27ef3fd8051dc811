"""Domain-separation labels: one purpose, one label (Specification §3.2).

Every hash, signature, derived key and associated data begins with one of these, so that a value made for one
purpose is worthless for any other. A label carries the protocol version and never changes within it. This
module must not know how a label is used.
"""

from __future__ import annotations

from enum import Enum, unique


@unique
class Label(bytes, Enum):
    """All labels; each member is a `bytes` object.

    Attributes:
        SESSION_DIGEST: hash of the session parameters.
        COHORT_DIGEST: hash of the session digest and all advertisements.
        SELF_MASK_COMMITMENT: hash by which a client commits to its self-mask seed.
        ADVERTISEMENT_SIGNATURE: signature over a client's public keys and commitment.
        CONFIRMATION_SIGNATURE: signature over the set of contributors.
        INCLUSION_SIGNATURE: in a chosen graph, signature over the sharers with which a client masked.
        ACKNOWLEDGEMENT_SIGNATURE: in a chosen graph, signature over sharers and contributors.
        CHANNEL_KEY: key that encrypts shares from one client to one other.
        PAIRWISE_MASK_SEED: seed of the mask that two clients share, from their X25519 result.
        PAIRWISE_MASK_KEY: PRG key of a pairwise mask, from its seed.
        SELF_MASK_KEY: PRG key of a self mask, from its seed.
        HYBRID_KEY: key from an X25519 key and an encapsulated secret, in hybrid suites.
        MASK_PRIVATE_KEY: mask private key of a hybrid suite, from the secret that is shared.
        MASK_WRAP: pad under which an encapsulated secret is left with the server, from the secret that is shared.
        SHARE_ENCRYPTION: associated data of an encrypted pair of shares.
        DEALT_BLOCK: hash of a block of the sealed pairs that a client deals.
        DEALING_SIGNATURE: signature over all of them.
        CHANNEL_DISCLOSURE: challenge of a proof that discloses the agreement of two channel keys.
        DISCLOSURE_NONCE: scalar that hides the private key in such a proof.
        DISCLOSURE_CONTEXT: what such a proof is bound to.
        CHANNEL_POSSESSION: what a dealer's proof that it has its channel private key is bound to.
        BLAME_EVIDENCE: signed messages and a proof by which anybody sees who lied about a sealed pair.
        SHARE_DIGEST: hash of one share, with its session, owner, holder and kind.
        SHARE_COMMITMENT: hash of the digests of both shares of a pair, by which the dealer commits to them.
        DEALING_EVIDENCE: signed messages and shares by which anybody sees that a dealer's shares contradict each other.
        QUANTIZATION_KEY: PRG key of the stochastic rounding of one client's input.
        NOISE_KEY: PRG key of the noise that one client adds to its input for differential privacy.
        PRIVACY_PLAN: hash of a plan for differential privacy, with which a session's context begins.
        ROTATION_SIGNS: hash from which the public signs of a rotated update come.
        RELEASE_NOISE: seed of the noise that a server adds to one result.
        TOPOLOGY_PERMUTATION: hash by which clients are ordered on the ring.
        SNAPSHOT: checksum of a session's snapshot.
        ROSTER: signature of an authority over a roster file.
        INVITATIONS: signature of an authority over a file of invitations.
        INVITATION: what the invitation in a link begins with, and its checksum.
        INVITATION_CLAIM: signatures by which the holder of an invitation names a key of its own.
        LOGIN: signature by which a caller of the network service proves who it is.
        LOGIN_NONCE: key of the seal by which a server knows its nonces again.
        LOGIN_TOKEN: key of the seal by which a server knows its tokens again.
    """

    SESSION_DIGEST = b"secagg/v1 session digest"
    COHORT_DIGEST = b"secagg/v1 cohort digest"
    SELF_MASK_COMMITMENT = b"secagg/v1 self mask commitment"
    ADVERTISEMENT_SIGNATURE = b"secagg/v1 advertisement signature"
    CONFIRMATION_SIGNATURE = b"secagg/v1 confirmation signature"
    INCLUSION_SIGNATURE = b"secagg/v1 inclusion signature"
    ACKNOWLEDGEMENT_SIGNATURE = b"secagg/v1 acknowledgement signature"
    CHANNEL_KEY = b"secagg/v1 channel key"
    PAIRWISE_MASK_SEED = b"secagg/v1 pairwise mask seed"
    PAIRWISE_MASK_KEY = b"secagg/v1 pairwise mask key"
    SELF_MASK_KEY = b"secagg/v1 self mask key"
    HYBRID_KEY = b"secagg/v1 hybrid key"
    MASK_PRIVATE_KEY = b"secagg/v1 mask private key"
    MASK_WRAP = b"secagg/v1 mask wrap"
    SHARE_ENCRYPTION = b"secagg/v1 share encryption"
    DEALT_BLOCK = b"secagg/v1 dealt block"
    DEALING_SIGNATURE = b"secagg/v1 dealing signature"
    CHANNEL_DISCLOSURE = b"secagg/v1 channel disclosure"
    DISCLOSURE_NONCE = b"secagg/v1 disclosure nonce"
    DISCLOSURE_CONTEXT = b"secagg/v1 disclosure context"
    CHANNEL_POSSESSION = b"secagg/v1 channel possession"
    BLAME_EVIDENCE = b"secagg/v1 blame evidence"
    SHARE_DIGEST = b"secagg/v1 share digest"
    SHARE_COMMITMENT = b"secagg/v1 share commitment"
    DEALING_EVIDENCE = b"secagg/v1 dealing evidence"
    QUANTIZATION_KEY = b"secagg/v1 quantization key"
    NOISE_KEY = b"secagg/v1 noise key"
    PRIVACY_PLAN = b"secagg/v1 privacy plan"
    ROTATION_SIGNS = b"secagg/v1 rotation signs"
    RELEASE_NOISE = b"secagg/v1 release noise"
    TOPOLOGY_PERMUTATION = b"secagg/v1 topology permutation"
    SNAPSHOT = b"secagg/v1 snapshot"
    ROSTER = b"secagg/v1 roster"
    INVITATIONS = b"secagg/v1 list of invitations"
    INVITATION = b"secagg/v1 link of an invitation"
    INVITATION_CLAIM = b"secagg/v1 claim to an invitation"
    LOGIN = b"secagg/v1 login"
    LOGIN_NONCE = b"secagg/v1 nonce of a login"
    LOGIN_TOKEN = b"secagg/v1 token of a login"
