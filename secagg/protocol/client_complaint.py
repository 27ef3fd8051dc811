"""A client that cannot read a sealed pair says so, and shows it (Specification §6.4, §6.8).

All of it follows from sealed pairs and keys: no input is looked at. A disclosure opens the channel with one dealer in
both directions, and is safe because that dealer signed a pair that nobody can read, and knows the agreement itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from secagg.crypto import dealing, disclosure
from secagg.crypto.hybrid import HybridKey
from secagg.crypto.randomness import RandomSource
from secagg.crypto.signing import verify
from secagg.errors import PeerMisbehaved, Violation
from secagg.parameters import ClientId
from secagg.protocol.client_states import AccusedPair, AwaitingDisclosure, AwaitingMaskedInput, ClientStep
from secagg.protocol.messages import (
    MOST_DISCLOSURES,
    SIGNATURE_BYTES,
    Complaint,
    Dealing,
    DisclosureRequest,
    DisclosureResponse,
)


def complain(state: AwaitingMaskedInput, unreadable: Mapping[ClientId, bytes]) -> ClientStep:
    """Name the senders of pairs that cannot be read, and give up everything but what a disclosure needs.

    Args:
        state: before the input; it is not masked any more.
        unreadable: the pairs as they came, by sender.
    """
    following = AwaitingDisclosure(state.context, state.binding)
    if state.channel_key is not None:
        pairs = {sender: AccusedPair(state.channel_publics[sender], pair) for sender, pair in unreadable.items()}
        following = AwaitingDisclosure(state.context, state.binding, state.channel_key, pairs)
    return ClientStep(following, Complaint(state.context.session, tuple(sorted(unreadable))))


def disclose(state: AwaitingDisclosure, message: DisclosureRequest, randomness: RandomSource) -> ClientStep:
    """Prove what this client agreed on with each dealer that it is shown a signature of.

    Raises:
        PeerMisbehaved: a dealer that this client did not accuse, or what it shows was not signed so.
    """
    context, key = state.context, state.channel_key
    dealers = [shown.client for shown in message.dealings]
    strange = [dealer for dealer in dealers if dealer not in state.accused]
    if key is None or isinstance(key, HybridKey) or strange or not 1 <= len(dealers) <= MOST_DISCLOSURES:
        raise PeerMisbehaved(
            Violation.DISCLOSURE_OF_A_CLIENT_NOT_ACCUSED,
            f"the server asks to disclose {len(dealers)} pairs; this client complained of {len(state.accused)} that "
            f"can be disclosed, once, and shows at most {MOST_DISCLOSURES}",
        )
    for shown in message.dealings:
        _check(state, key.public, shown)
    proofs = []
    for dealer in dealers:
        pair = state.accused[dealer]
        bound = dealing.disclosure_context(
            context.session, state.binding, dealer, pair.channel_public, context.client, key.public, pair.committed
        )
        proofs.append((dealer, disclosure.prove(key, pair.channel_public, bound)))
    # Nothing is left to disclose: another request finds nobody accused.
    return ClientStep(AwaitingDisclosure(context, state.binding), DisclosureResponse(context.session, tuple(proofs)))


def _check(state: AwaitingDisclosure, own_public: bytes, shown: Dealing) -> None:
    context, pair = state.context, state.accused[shown.client]
    entry = dealing.dealt_entry(context.client, own_public, pair.committed)
    if not dealing.is_dealt(entry, shown.block, shown.digests):
        raise PeerMisbehaved(
            Violation.DISCLOSURE_OF_ANOTHER_PAIR,
            f"the pair that client {context.client} cannot read is not in what is shown of client {shown.client}",
        )
    ends = context.session, state.binding, shown.client, pair.channel_public
    text = dealing.dealing_text(*ends, shown.digests)
    if not verify(context.roster[shown.client], text, shown.signature[:SIGNATURE_BYTES]):
        raise PeerMisbehaved(
            Violation.DEALING_SIGNATURE_INVALID, f"client {shown.client} did not sign what is shown of it"
        )
    # Or a key made of an honest client's would have this client disclose its agreement with that one.
    if not dealing.shows_possession(shown.signature, *ends):
        raise PeerMisbehaved(
            Violation.DISCLOSURE_KEY_NOT_PROVABLE,
            f"client {shown.client} does not show that it has the private key of the channel key shown for it",
        )
