"""What a client does with its secrets (§6)."""

from typing import TypeVar

from protocol_specs.reference import keys
from protocol_specs.reference.errors import Breach, LocalError

T = TypeVar("T")


def there(secret: T | None) -> T:
    """A secret that must not have been erased; raises `LocalError`."""
    if secret is None:
        raise LocalError("a secret was erased")
    return secret


def agree(private: bytes, public: bytes) -> bytes:
    """X25519 of a private key and another's public key, which must not be of low order (C25)."""
    try:
        return keys.agree(private, public)
    except keys.LowOrder as error:
        raise Breach("C25") from error
