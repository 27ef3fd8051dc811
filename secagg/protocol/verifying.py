"""Whether a rebuilt secret is the one that its owner advertised (Specification §5.3).

Must not know shares, or how the secret was rebuilt.
"""

from __future__ import annotations

from secagg.crypto import key_schedule
from secagg.crypto.commitments import ShareKind
from secagg.crypto.secret import SecretBytes
from secagg.protocol.messages import Advertisement


def is_advertised(
    kind: ShareKind, secret: SecretBytes, session: bytes, advertisement: Advertisement, *, with_kem: bool
) -> bool:
    """Whether a self-mask seed opens the commitment, or what a mask key is made of gives the public key.

    Args:
        kind: which of the two.
        secret: 32 bytes.
        session: session digest.
        advertisement: the owner's.
        with_kem: whether the suite is hybrid.
    """
    if kind is ShareKind.SEED:
        return key_schedule.self_mask_commitment(session, advertisement.client, secret) == advertisement.commitment
    return key_schedule.mask_private_key(secret, session, with_kem=with_kem).public == advertisement.mask_public
