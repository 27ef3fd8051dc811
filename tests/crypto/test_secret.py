"""SecretBytes: what it shows, what it refuses, what it wipes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from secagg.crypto.secret import SecretBytes, _WipedBuffer
from secagg.errors import LocalProtocolError, ParameterError


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_every_kind_are_exposed_unchanged(kind: Callable[[bytes], bytes]) -> None:
    assert bytes(SecretBytes(kind(b"\x00abc\xff")).expose()) == b"\x00abc\xff"


def test_an_integer_is_refused_and_makes_no_zeros() -> None:
    with pytest.raises(ParameterError, match="not int"):
        SecretBytes(32)  # type: ignore[arg-type]


def test_the_secret_is_a_copy() -> None:
    source = bytearray(b"abc")
    secret = SecretBytes(source)
    source[0] = 0
    assert bytes(secret.expose()) == b"abc"


def test_the_view_is_read_only() -> None:
    with pytest.raises(TypeError, match="read-only"):
        SecretBytes(b"abc").expose()[0] = 1


def test_repr_and_str_show_the_length_only() -> None:
    secret = SecretBytes(b"s" * 32)
    assert (repr(secret), str(secret), f"{secret}", len(secret)) == (
        "SecretBytes(32 bytes)",
        "SecretBytes(32 bytes)",
        "SecretBytes(32 bytes)",
        32,
    )


def test_equality_is_by_content_and_only_among_secrets() -> None:
    secret = SecretBytes(b"abc")
    assert [secret == other for other in (SecretBytes(b"abc"), SecretBytes(b"abd"), SecretBytes(b"abcd"))] == [
        True,
        False,
        False,
    ]
    assert [secret == other for other in (b"abc", "abc", None)] == [False, False, False]


def test_a_secret_is_not_hashable() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(SecretBytes(b"abc"))


@pytest.mark.parametrize(
    "duplicate",
    [
        copy.copy,
        copy.deepcopy,
        pickle.dumps,
        lambda secret: pickle.dumps(secret, 0),
        lambda secret: secret.__reduce__(),
        lambda secret: secret.__getstate__(),
    ],
    ids=["copy", "deepcopy", "pickle", "pickle protocol 0", "reduce", "getstate"],
)
def test_a_secret_is_not_copied_or_pickled(duplicate: Callable[[SecretBytes], object]) -> None:
    with pytest.raises(TypeError, match="is not copied or pickled"):
        duplicate(SecretBytes(b"abc"))


def test_wiping_overwrites_what_views_show_and_ends_the_secret() -> None:
    secret = SecretBytes(b"abc")
    view = secret.expose()
    secret.wipe()
    secret.wipe()
    assert bytes(view) == bytes(3)
    assert (repr(secret), len(secret)) == ("SecretBytes(3 bytes, wiped)", 3)
    with pytest.raises(LocalProtocolError, match="3 bytes was wiped"):
        secret.expose()
    with pytest.raises(LocalProtocolError, match="wiped"):
        _ = secret == SecretBytes(bytes(3))


def test_a_view_outlives_its_owner() -> None:
    assert bytes(SecretBytes(b"abc").expose()) == b"abc"


def test_a_released_buffer_is_zeroed() -> None:
    buffer = _WipedBuffer(b"abc")
    buffer.__del__()
    assert bytes(buffer) == bytes(3)
