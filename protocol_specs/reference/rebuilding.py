"""Rebuilding the secrets that a sum needs (§6.7), whoever lied about their shares (§5.4)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from protocol_specs.reference import keys
from protocol_specs.reference.blame import Blame
from protocol_specs.reference.commitments import MASK_KEY, SEED, SHARE_BYTES
from protocol_specs.reference.errors import Breach, demand
from protocol_specs.reference.sharing import agreed, rebuild
from protocol_specs.reference.unmasking import Session
from protocol_specs.reference.wire import Advertisement, UnmaskingResponse

Accept = Callable[[bytes], bool]


@dataclass(slots=True)
class Rebuilt:
    """By owner, its secret; who revealed a wrong share, as (holder, owner); and which owners dealt such (S23)."""

    secrets: dict[int, bytes] = field(default_factory=dict)
    reports: list[tuple[int, int]] = field(default_factory=list)
    blame: list[Blame] = field(default_factory=list)


def rebuild_secrets(session: Session, responses: Mapping[int, UnmaskingResponse]) -> Rebuilt:
    """Rebuild every secret, or blame owners; raises `Breach` with A05, or with A06 where nobody can be blamed."""
    p, rebuilt, too_few = session.parameters, Rebuilt(), False
    kinds = dict.fromkeys(session.contributors, SEED) | dict.fromkeys(session.rebuilt_sharers, MASK_KEY)
    for owner, kind in sorted(kinds.items()):
        own = session.advertisements[owner]

        def accept(secret: bytes, kind: int = kind, own: Advertisement = own) -> bool:
            return keys.is_advertised(own, session.digest, kind, secret, p.hybrid)

        revealed = _revealed(responses, owner, kind)
        if p.signs_dealings:
            too_few |= not _rebuild_as_dealt(session, rebuilt, owner, kind, revealed, accept)
        else:
            _rebuild_corrected(session, rebuilt, owner, revealed, accept)
    demand(bool(rebuilt.blame) or not too_few, "A05")
    return rebuilt


def _revealed(responses: Mapping[int, UnmaskingResponse], owner: int, kind: int) -> dict[int, bytes]:
    """By holder, what it revealed of an owner's secret, in ascending order."""
    shares = {h: r.seed_shares if kind == SEED else r.mask_key_shares for h, r in sorted(responses.items())}
    return {holder: its.share for holder in shares for its in shares[holder] if its.owner == owner}


def _rebuild_as_dealt(
    session: Session, rebuilt: Rebuilt, owner: int, kind: int, revealed: Mapping[int, bytes], accept: Accept
) -> bool:
    """With signed dealings: all shares, or those that fit; whether there are enough of them."""
    threshold = session.parameters.threshold

    def secret_from(holders: Mapping[int, bytes]) -> bytes | None:
        points = {session.graph.share_point(owner, h): both[:SHARE_BYTES] for h, both in holders.items()}
        return agreed(points, threshold, accept)

    secret = secret_from(revealed)
    if secret is None:
        fitting = {h: both for h, both in revealed.items() if session.dealt.fits(owner, h, kind, both)}
        rebuilt.reports += [(holder, owner) for holder in revealed if holder not in fitting]
        if len(fitting) < threshold:
            return False
        secret = secret_from(fitting)
        if secret is None:
            evidence = session.dealt.contradiction(session.parameters, owner, kind, fitting).encode()
            rebuilt.blame.append(Blame(owner, "S23", evidence))
            return True
    rebuilt.secrets[owner] = secret
    return True


def _rebuild_corrected(
    session: Session, rebuilt: Rebuilt, owner: int, revealed: Mapping[int, bytes], accept: Accept
) -> None:
    """Without signed dealings: what error correction leads to."""
    demand(len(revealed) >= session.parameters.threshold, "A05")
    holder_at = {session.graph.share_point(owner, holder): holder for holder in revealed}
    shares = {point: revealed[holder] for point, holder in holder_at.items()}
    found = rebuild(shares, session.parameters.threshold, accept)
    if found is None:
        raise Breach("A06")
    rebuilt.reports += [(holder_at[point], owner) for point in found.inconsistent]
    rebuilt.secrets[owner] = found.secret
