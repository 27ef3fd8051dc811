"""`secagg enroll`: makes and changes the roster, on the machine that holds the authority's key.

Reads the roster, verifies it, changes it and signs it again with the next serial. Must not know sessions; the server
never runs this.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

import secagg
from secagg.cli.keys.came import record_of, sentences_about, who_came
from secagg.cli.keys.keygen import public_path
from secagg.cli.options import MaybePath, Words
from secagg.cli.output import JsonFlag, print_json, print_sentences
from secagg.identity.enrolment import Came
from secagg.identity.files import read_public, replace_public
from secagg.identity.fingerprints import fingerprint
from secagg.identity.keys import create_identity, load_identity, load_public_key
from secagg.identity.roster import MAX_ROSTER_BYTES, SignedRoster, checked_keys, verify_roster

LONGEST_DAYS: Final = 3660
"""Of a roster, and of invitations."""
_ADD_HELP: Final = "A client's id and public key file, such as 17=alice.pub; may be repeated."


def enroll(
    roster: Annotated[Path, typer.Option(metavar="FILE", help="The roster; made when it is not there.")],
    authority: Annotated[Path, typer.Option(metavar="FILE", help="The authority's private key.")],
    create_authority: Annotated[
        bool, typer.Option("--create-authority", help="Make the authority's key first; its public half gets .pub.")
    ] = False,
    add: Annotated[Words, typer.Option(metavar="ID=FILE", help=_ADD_HELP)] = None,
    replace: Annotated[
        Words, typer.Option(metavar="ID=FILE", help="Give an enrolled client another key; may be repeated.")
    ] = None,
    remove: Annotated[Words, typer.Option(metavar="ID", help="Take a client out; may be repeated.")] = None,
    from_invitations: Annotated[
        MaybePath,
        typer.Option(metavar="FILE", help="Add all who redeemed one of these invitations, which ends the enrolment."),
    ] = None,
    claims: Annotated[
        MaybePath, typer.Option(metavar="DIRECTORY", help="The server's directory of claims, or a copy of it.")
    ] = None,
    days: Annotated[float, typer.Option(help="How long the roster is valid from now.")] = 365.0,
    as_json: JsonFlag = False,
) -> None:
    """Add clients to the roster, or take them out, and sign it; without changes, sign it for another while."""
    if not 0 < days <= LONGEST_DAYS:
        raise secagg.ParameterError(
            f"--days {days:g} is not above 0 and at most {LONGEST_DAYS}; give how many days the roster is valid"
        )
    added = _keys("--add", add)
    replaced = _keys("--replace", replace)
    removed = [client_in("--remove", word) for word in remove or []]
    if create_authority and roster.exists():
        raise secagg.ParameterError(f"{roster} exists already, under an older authority; leave --create-authority out")
    if (from_invitations is None) != (claims is None):
        given, lacking = (
            ("--claims", "--from-invitations") if from_invitations is None else ("--from-invitations", "--claims")
        )
        raise secagg.ParameterError(f"{given} needs {lacking}: the list that was signed, and what came for it")
    if create_authority and from_invitations is not None:
        raise secagg.ParameterError(
            "--create-authority does not go with --from-invitations, which the authority's key has signed"
        )
    key = None if create_authority else load_identity(authority)
    old = None if key is None else _read(roster, key.public)
    before = {} if old is None else dict(old.keys)
    came = None
    if key is not None and from_invitations is not None and claims is not None:
        came = who_came(from_invitations, claims, key.public, before, removed)
        added = {**came.keys, **added}
    keys = _changed(dict(before), added, replaced, removed)
    if key is None:
        key = create_identity(authority, public_path(authority))
    now = datetime.now(UTC)
    signed = SignedRoster.sign(
        keys,
        serial=1 if old is None else old.serial + 1,
        issued=now,
        expires=now + timedelta(days=days),
        authority=key,
    )
    replace_public(roster, signed.encode())
    _show(roster, signed, before, came, as_json)


def _read(roster: Path, authority: bytes) -> SignedRoster | None:
    """Return the roster as it is, verified but for its expiry; None when there is no such file."""
    if not roster.exists():
        return None
    content = read_public(roster, MAX_ROSTER_BYTES)
    try:
        return verify_roster(content, authority, at=None)
    except secagg.ParameterError as error:
        raise secagg.ParameterError(f"{roster}: {error}") from error


def _changed(
    keys: dict[int, bytes], added: Mapping[int, bytes], replaced: Mapping[int, bytes], removed: list[int]
) -> Mapping[int, bytes]:
    for client in replaced:
        if client not in keys:
            raise secagg.ParameterError(f"--replace: client {client} is not in the roster; enroll it with --add")
    for client in removed:
        if client not in keys:
            raise secagg.ParameterError(
                f"--remove: client {client} is not in the roster, or named twice; `secagg roster show` lists who is"
            )
        del keys[client]
    for client, key in added.items():
        if keys.get(client, key) != key:
            raise secagg.ParameterError(f"client {client} is enrolled with another key; give it this one by --replace")
        keys[client] = key
    return checked_keys({**keys, **replaced}.items())


def _keys(option: str, words: list[str] | None) -> dict[int, bytes]:
    keys: dict[int, bytes] = {}
    for word in words or []:
        number, equals, file = word.partition("=")
        if not equals or not file:
            raise secagg.ParameterError(f"{option} {word!r} names no key; give an id and a file, such as 17=alice.pub")
        client = client_in(option, number)
        if client in keys:
            raise secagg.ParameterError(f"{option} names client {client} twice; give each client once")
        keys[client] = load_public_key(Path(file))
    return keys


def client_in(option: str, word: str) -> int:
    """Return the client id that a word of a command line is.

    Raises:
        ParameterError: it is none.
    """
    if not (word.isascii() and word.isdigit()) or int(word) >= 1 << 64:
        raise secagg.ParameterError(
            f"{option} {word!r:.40} is no client id; ids are whole numbers in 0 .. 2^64-1, and "
            "secagg.client_id(name) makes one of a name"
        )
    return int(word)


def _show(roster: Path, signed: SignedRoster, before: Mapping[int, bytes], came: Came | None, as_json: bool) -> None:
    record: dict[str, Any] = {
        "roster": str(roster),
        "clients": len(signed.keys),
        "serial": signed.serial,
        "expires": signed.expires.isoformat(),
        "authority": signed.authority.hex(),
        "fingerprint": fingerprint(signed.authority),
    }
    if as_json:
        print_json(record if came is None else {**record, **record_of(came, before)})
        return
    for sentence in () if came is None else sentences_about(came, before):
        print_sentences(sentence)
    print_sentences(f"{roster}: {len(signed.keys)} clients, serial {signed.serial}, valid until {signed.expires}.")
    print_sentences(f"Authority: fingerprint {fingerprint(signed.authority)}.")
