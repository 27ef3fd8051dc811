"""An honest client as the specification describes it, over sets instead of bytes (Specification §6.1 to §6.6, §7.1).

Which message follows which comes from `secagg.protocol.transitions`, so that model and code have one skeleton. The
checks are written from the text of §6 in its order, with the ids of §8; the code is not consulted. Secrets are symbols:
who holds a share follows from who was shown what. Knows nothing of what the server wants.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from protocol_specs.model.cohort import Cohort, Rules
from secagg.errors import Violation
from secagg.protocol.messages import (
    Abort,
    AdvertiseKeysRequest,
    ConsistencyCheckRequest,
    MaskedInputCollectionRequest,
    SessionOffer,
    ShareKeysRequest,
    UnmaskingRequest,
)
from secagg.protocol.transitions import CLIENT_TRANSITIONS, ClientPhase

V = Violation
KINDS: Final[tuple[type[object], ...]] = (
    SessionOffer,
    AdvertiseKeysRequest,
    ShareKeysRequest,
    MaskedInputCollectionRequest,
    ConsistencyCheckRequest,
    UnmaskingRequest,
    Abort,
)
"""Everything a server can send."""


class Message(NamedTuple):
    """A message of the server: its kind, and the sets that it lists.

    ShareKeysRequest: first the advertised clients, second which version of the corrupt clients' advertisements (they
    may show different keys to different clients, which gives different bindings). MaskedInputCollectionRequest: first
    the senders of sealed pairs. ConsistencyCheckRequest: first the contributors. UnmaskingRequest: first the
    survivors, second the dropped, third the signers.
    """

    kind: type[object]
    first: int = 0
    second: int = 0
    third: int = 0


class Client(NamedTuple):
    """What a client remembers.

    Attributes:
        phase: what it waits for.
        advertised: whom it was shown, itself included; 0 before it shared its keys.
        version: of the corrupt clients' advertisements. With `advertised` it is the binding.
        sharers: whose sealed pairs it opened; 0 before it sent its masked input.
        view: the contributors that it signed.
        survivors, dropped: whose seed and mask-key shares it revealed, if it may be asked again; else 0.
    """

    phase: ClientPhase = ClientPhase.OFFERED
    advertised: int = 0
    version: int = 0
    sharers: int = 0
    view: int = 0
    survivors: int = 0
    dropped: int = 0


class World(NamedTuple):
    """What exists outside of a client, as far as its checks depend on it.

    Attributes:
        advertisements: clients with an advertisement under their own signature.
        pairs: clients with a sealed pair for this client under its binding.
        signers: clients with a signature over this client's binding and view.
    """

    advertisements: int
    pairs: int = 0
    signers: int = 0


class Outcome(NamedTuple):
    """What a message does: the client after it, and the rule that it broke, if any."""

    client: Client
    violation: Violation | None = None


def receive(cohort: Cohort, rules: Rules, me: int, client: Client, message: Message, world: World) -> Outcome:
    """Handle any message in any phase; the table decides what is expected, `_broken_rule` whether it is right.

    A refused message of §7.1 ("refused") leaves the client as it is. Repeats of the message that was answered last
    are the business of `Session`, which knows it.
    """
    row = CLIENT_TRANSITIONS[rules.threat_model][client.phase]
    if client.phase is ClientPhase.ABORTED:
        return Outcome(client)
    if client.phase is ClientPhase.COMPLETED:
        if message.kind is not UnmaskingRequest:
            return Outcome(client)
        if not rules.answers_again:
            return Outcome(Client(row[UnmaskingRequest]), V.SECOND_UNMASKING_REQUEST)
        row = {UnmaskingRequest: ClientPhase.COMPLETED}
    if message.kind not in row:
        return _ended(V.MESSAGE_NOT_EXPECTED_IN_THIS_PHASE)
    following = row[message.kind]
    if message.kind is Abort:
        return Outcome(Client(following))
    broken = _broken_rule(cohort, rules, me, client, message, world)
    if broken is not None:
        return _ended(broken)
    if message.kind is ShareKeysRequest:
        return Outcome(Client(following, message.first, message.second))
    if message.kind is MaskedInputCollectionRequest:
        return Outcome(client._replace(phase=following, sharers=message.first))
    if message.kind is ConsistencyCheckRequest:
        return Outcome(client._replace(phase=following, view=message.first))
    if message.kind is UnmaskingRequest:
        held = held_owners(rules, me, client)
        return Outcome(client._replace(phase=following, survivors=message.first & held, dropped=message.second & held))
    return Outcome(Client(following))


def held_owners(rules: Rules, me: int, client: Client) -> int:
    """Of whom the client holds shares."""
    return client.sharers | (1 << me if rules.self_share else 0)


def _ended(violation: Violation) -> Outcome:
    return Outcome(Client(ClientPhase.ABORTED), violation)


def _broken_rule(
    cohort: Cohort, rules: Rules, me: int, client: Client, message: Message, world: World
) -> Violation | None:
    if message.kind is ShareKeysRequest:
        return _check_advertised(cohort, rules, me, message.first, world)
    if message.kind is MaskedInputCollectionRequest:
        return _check_sharers(cohort, rules, me, client, message.first, world)
    if message.kind is ConsistencyCheckRequest:
        return _check_contributors(cohort, rules, me, client, message.first)
    if message.kind is UnmaskingRequest:
        broken = _check_unmasking(cohort, rules, me, client, message.first, message.second)
        return broken if broken is not None else _check_signers(cohort, rules, me, client, message, world)
    return None


def _check_advertised(cohort: Cohort, rules: Rules, me: int, advertised: int, world: World) -> Violation | None:
    """§6.3, without what concerns single keys (C23, C24, C25, C28)."""
    if not advertised >> me & 1 and rules.demands(V.OWN_ADVERTISEMENT_MISSING):
        return V.OWN_ADVERTISEMENT_MISSING
    if _others(advertised, me) & ~cohort.neighbours(me):
        return V.ADVERTISEMENT_OF_A_STRANGER
    if _others(advertised, me).bit_count() < cohort.threshold and rules.demands(V.ADVERTISED_BELOW_THRESHOLD):
        return V.ADVERTISED_BELOW_THRESHOLD
    if advertised & ~world.advertisements:
        return V.ADVERTISEMENT_SIGNATURE_INVALID
    return None


def _check_sharers(
    cohort: Cohort, rules: Rules, me: int, client: Client, senders: int, world: World
) -> Violation | None:
    """§6.4. Who cannot read a pair complains: no input, no shares, and for sums the same as a refusal."""
    if senders.bit_count() < cohort.threshold and rules.demands(V.SHARERS_BELOW_THRESHOLD):
        return V.SHARERS_BELOW_THRESHOLD
    if senders & ~_others(client.advertised, me):
        return V.CIPHERTEXT_OF_A_STRANGER
    if senders & ~world.pairs:
        return V.CIPHERTEXT_OF_A_STRANGER
    return None


def _check_contributors(cohort: Cohort, rules: Rules, me: int, client: Client, contributors: int) -> Violation | None:
    """§6.5."""
    if not contributors >> me & 1 and rules.demands(V.OWN_INPUT_NOT_AMONG_CONTRIBUTORS):
        return V.OWN_INPUT_NOT_AMONG_CONTRIBUTORS
    others = _others(contributors, me)
    if others & ~client.sharers and rules.demands(V.CONTRIBUTOR_NOT_A_SHARER):
        return V.CONTRIBUTOR_NOT_A_SHARER
    if others.bit_count() < cohort.threshold and rules.demands(V.CONTRIBUTORS_BELOW_THRESHOLD):
        return V.CONTRIBUTORS_BELOW_THRESHOLD
    if contributors.bit_count() < cohort.minimum_contributors and rules.demands(V.CONTRIBUTORS_BELOW_MINIMUM):
        return V.CONTRIBUTORS_BELOW_MINIMUM
    return None


def _check_unmasking(
    cohort: Cohort, rules: Rules, me: int, client: Client, survivors: int, dropped: int
) -> Violation | None:
    """§6.6, points 1 to 4 and the first of point 5."""
    own, held = 1 << me, held_owners(rules, me, client)
    if survivors & dropped and rules.demands(V.CLIENT_LISTED_AS_BOTH_SURVIVOR_AND_DROPPED):
        return V.CLIENT_LISTED_AS_BOTH_SURVIVOR_AND_DROPPED
    if (survivors | dropped) & own and not rules.self_share and rules.demands(V.THIS_CLIENT_LISTED_FOR_UNMASKING):
        return V.THIS_CLIENT_LISTED_FOR_UNMASKING
    if survivors & ~held and rules.demands(V.SURVIVOR_NOT_A_SHARER):
        return V.SURVIVOR_NOT_A_SHARER
    if dropped & ~held and rules.demands(V.DROPPED_CLIENT_NOT_A_SHARER):
        return V.DROPPED_CLIENT_NOT_A_SHARER
    if held & ~(survivors | dropped) and rules.demands(V.SHARER_NEITHER_SURVIVOR_NOR_DROPPED):
        return V.SHARER_NEITHER_SURVIVOR_NOR_DROPPED
    if _others(survivors, me).bit_count() < cohort.threshold and rules.demands(V.SURVIVORS_BELOW_THRESHOLD):
        return V.SURVIVORS_BELOW_THRESHOLD
    contributors = survivors | own
    below = cohort.degree is None and contributors.bit_count() < cohort.minimum_contributors
    if below and rules.demands(V.SURVIVORS_BELOW_MINIMUM_CONTRIBUTORS):
        return V.SURVIVORS_BELOW_MINIMUM_CONTRIBUTORS
    if rules.active:
        shown = survivors if rules.self_share else contributors
        if shown != client.view and rules.demands(V.SURVIVORS_DIFFER_FROM_CONFIRMED_CONTRIBUTORS):
            return V.SURVIVORS_DIFFER_FROM_CONFIRMED_CONTRIBUTORS
    return None


def _check_signers(
    cohort: Cohort, rules: Rules, me: int, client: Client, message: Message, world: World
) -> Violation | None:
    """§6.6, the signatures of point 5, and point 6."""
    signers = message.third
    if not rules.active:
        return V.CONFIRMATION_OF_A_STRANGER if signers else None
    if signers & ~client.view and rules.demands(V.CONFIRMATION_OF_A_STRANGER):
        return V.CONFIRMATION_OF_A_STRANGER
    if signers & ~world.signers:
        return V.CONFIRMATION_SIGNATURE_INVALID
    if not signers >> me & 1 and rules.demands(V.OWN_CONFIRMATION_MISSING):
        return V.OWN_CONFIRMATION_MISSING
    if signers.bit_count() < cohort.threshold and rules.demands(V.CONFIRMATIONS_BELOW_THRESHOLD):
        return V.CONFIRMATIONS_BELOW_THRESHOLD
    return None


def _others(clients: int, me: int) -> int:
    return clients & ~(1 << me)


class Session(NamedTuple):
    """A client and the last message that it answered: the same bytes again get the same answer (§7.1)."""

    client: Client = Client()
    answered: Message | None = None

    def receive(
        self, cohort: Cohort, rules: Rules, me: int, message: Message, world: World
    ) -> tuple[Session, Violation | None, bool]:
        """Handle a message: the session after it, the rule that it broke, and whether an answer goes out."""
        live = self.client.phase is not ClientPhase.ABORTED
        if live and message == self.answered:
            return self, None, True
        client, broken = receive(cohort, rules, me, self.client, message, world)
        if broken is not None or client.phase is ClientPhase.ABORTED or client == self.client:
            kept = self.answered if client == self.client else None
            return Session(client, kept), broken, False
        answers = message.kind is not SessionOffer
        return Session(client, message if answers else None), None, answers
