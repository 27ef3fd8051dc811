"""Identity keys in files."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from secagg.crypto.pem import private_pem, public_pem, read_private_pem
from secagg.crypto.secret import SecretBytes
from secagg.crypto.signing import IdentityKey, verify
from secagg.errors import ParameterError
from secagg.identity.files import MAX_KEY_BYTES, create_public, read_public, replace_public
from secagg.identity.fingerprints import fingerprint
from secagg.identity.keys import create_identity, load_identity, load_public_key


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_comes_back_from_its_files(tmp_path: Path) -> None:
    made = create_identity(tmp_path / "a.key", tmp_path / "a.pub")
    loaded = load_identity(tmp_path / "a.key")
    assert loaded.seed == made.seed
    assert load_public_key(tmp_path / "a.pub") == made.public
    assert verify(made.public, b"text", loaded.sign(b"text"))


def test_only_the_owner_may_open_the_private_key_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        create_identity(tmp_path / "a.key", tmp_path / "a.pub")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "a.key") == 0o600
    assert mode_of(tmp_path / "a.pub") == 0o644


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o602, 0o644, 0o601])
def test_a_private_key_that_others_may_open_is_refused(tmp_path: Path, mode: int) -> None:
    create_identity(tmp_path / "a.key", tmp_path / "a.pub")
    (tmp_path / "a.key").chmod(mode)
    with pytest.raises(ParameterError, match=rf"a\.key holds a private key and has mode {mode:04o}.*chmod 600"):
        load_identity(tmp_path / "a.key")
    (tmp_path / "a.key").chmod(0o400)
    load_identity(tmp_path / "a.key")


@pytest.mark.parametrize("taken", ["a.key", "a.pub"])
def test_no_file_is_overwritten_and_no_half_of_a_key_is_left(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_bytes(b"mine")
    with pytest.raises(ParameterError, match=f"{taken} exists already"):
        create_identity(tmp_path / "a.key", tmp_path / "a.pub")
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_bytes() == b"mine"


def test_a_public_key_that_cannot_be_written_leaves_no_private_one(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="cannot write"):
        create_identity(tmp_path / "a.key", tmp_path / "missing" / "a.pub")
    assert list(tmp_path.iterdir()) == []


def test_openssl_reads_our_keys_and_we_read_its(tmp_path: Path) -> None:
    key = create_identity(tmp_path / "a.key", tmp_path / "a.pub")
    if subprocess.run(["which", "openssl"], capture_output=True, check=False).returncode:
        pytest.skip("openssl is not installed")
    public = subprocess.run(
        ["openssl", "pkey", "-in", tmp_path / "a.key", "-pubout"], capture_output=True, check=True
    ).stdout
    assert public == public_pem(key.public)
    made = tmp_path / "b.key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", made], capture_output=True, check=True)
    made.chmod(0o600)
    assert len(load_identity(made).public) == 32


def private(content: bytes, path: Path) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


WRONG_PRIVATE = {
    "nothing": (b"", "no private key in PEM"),
    "rubbish": (b"rubbish", "no private key in PEM"),
    "a public key": (public_pem(bytes(range(32))), "a public key where a private key belongs"),
    "another algorithm": (
        ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "not an Ed25519 key",
    ),
    "encrypted": (
        ed25519.Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
        ),
        "encrypted; store it without a password",
    ),
    "too long": (bytes(MAX_KEY_BYTES + 1), f"more than {MAX_KEY_BYTES} bytes"),
}


@pytest.mark.parametrize(("content", "sentence"), WRONG_PRIVATE.values(), ids=WRONG_PRIVATE.keys())
def test_what_is_no_private_key(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(ParameterError, match=rf"a\.key.*{sentence}") as caught:
        load_identity(private(content, tmp_path / "a.key"))
    assert "\n" not in str(caught.value)


WRONG_PUBLIC = {
    "nothing": (b"", "no public key in PEM"),
    "rubbish": (b"\xff\x00", "no public key in PEM"),
    "a private key": (bytes(private_pem(IdentityKey.generate()).expose()), "a private key where a public key belongs"),
    "too long": (bytes(MAX_KEY_BYTES + 1), f"more than {MAX_KEY_BYTES} bytes"),
}


@pytest.mark.parametrize(("content", "sentence"), WRONG_PUBLIC.values(), ids=WRONG_PUBLIC.keys())
def test_what_is_no_public_key(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "a.pub").write_bytes(content)
    with pytest.raises(ParameterError, match=sentence):
        load_public_key(tmp_path / "a.pub")


def test_files_that_are_not_there_or_no_files(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"cannot read .*missing: No such file"):
        load_identity(tmp_path / "missing")
    with pytest.raises(ParameterError, match=r"cannot read .*Is a directory"):
        load_public_key(tmp_path)


def test_an_error_about_a_private_key_does_not_show_it(tmp_path: Path) -> None:
    text = bytes(private_pem(IdentityKey.generate()).expose())
    body = text.splitlines()[1].decode()
    with pytest.raises(ParameterError) as caught:
        read_private_pem(SecretBytes(text.replace(b"BEGIN PRIVATE", b"BEGIN PRIVAT")))
    assert body not in str(caught.value)
    assert body not in repr(caught.getrepr(style="short"))


def test_a_public_key_of_another_length_has_no_pem() -> None:
    with pytest.raises(ParameterError, match="32 bytes, not 31"):
        public_pem(bytes(31))


def test_fingerprints_are_short_and_differ() -> None:
    shown = fingerprint(bytes(32))
    assert len(shown) == 39
    assert shown != fingerprint(bytes([1]) + bytes(31))


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    create_public(tmp_path / "a", b"old")
    replace_public(tmp_path / "a", b"new")
    assert read_public(tmp_path / "a", 3) == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert mode_of(tmp_path / "a") == 0o644
    (tmp_path / "directory").mkdir()
    with pytest.raises(ParameterError, match="cannot write"):
        replace_public(tmp_path / "directory", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "directory"]


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_public_key_in_the_place_of_a_private_one_is_called_what_it_is(tmp_path: Path, mode: int) -> None:
    create_identity(tmp_path / "1.key", tmp_path / "1.pub")
    (tmp_path / "1.pub").chmod(mode)
    with pytest.raises(ParameterError, match=r"1\.pub.* a public key.*; give the file of the private one"):
        load_identity(tmp_path / "1.pub")
