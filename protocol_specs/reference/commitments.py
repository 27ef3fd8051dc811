"""What a dealer commits to with each pair of shares, and what fits it (§3.6)."""

from hashlib import sha256

from protocol_specs.reference.canonical import canonical

SEED, MASK_KEY = 1, 2
"""The kinds of shares: of the self-mask seed, and of the mask secret."""
SHARE_BYTES, DIGEST_BYTES = 36, 32
REVEALED_BYTES = SHARE_BYTES + DIGEST_BYTES


def share_digest(session: bytes, binding: bytes, owner: int, holder: int, kind: int, share: bytes) -> bytes:
    """The digest of the share of one kind that an owner made for a holder."""
    return sha256(canonical("secagg/v1 share digest", session, binding, owner, holder, kind, share)).digest()


def joined(seed_digest: bytes, mask_key_digest: bytes) -> bytes:
    """The pair commitment of the digests of both shares."""
    return sha256(canonical("secagg/v1 share commitment", seed_digest, mask_key_digest)).digest()


def pair_commitment(
    session: bytes, binding: bytes, owner: int, holder: int, seed_share: bytes, mask_key_share: bytes
) -> bytes:
    """The commitment to a pair of shares."""
    ends = session, binding, owner, holder
    return joined(share_digest(*ends, SEED, seed_share), share_digest(*ends, MASK_KEY, mask_key_share))


def fits(
    session: bytes,
    binding: bytes,
    owner: int,
    holder: int,
    kind: int,
    share: bytes,
    other_digest: bytes,
    commitment: bytes,
) -> bool:
    """Whether one share, with the digest of the other, fits a pair commitment."""
    own = share_digest(session, binding, owner, holder, kind, share)
    return joined(*((own, other_digest) if kind == SEED else (other_digest, own))) == commitment
