"""The lying server's moves: what it can show to whom, and states that differ in names only (§6, active model).

The server wants knowledge, knowledge never shrinks, and no answer takes another message away from anybody. So it is
enough to let one chosen client act at a time (`_next_to_act`): a message to anybody else can wait. Clients act round
by round, since a request depends on answers of earlier rounds only; one that can be asked for shares is asked at once.
A message that a client refuses ends its session without an answer, which `Stop` is too, so only accepted messages and
`Stop` are moves. Repeats change nothing (`machines` checks that).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from protocol_specs.model.client import KINDS, Client, Message, World, receive
from protocol_specs.model.cohort import Cohort, Rules, renamed, subsets
from protocol_specs.model.knowledge import Player, State
from secagg.errors import Violation
from secagg.protocol.messages import (
    ConsistencyCheckRequest,
    MaskedInputCollectionRequest,
    ShareKeysRequest,
    UnmaskingRequest,
)
from secagg.protocol.transitions import CLIENT_TRANSITIONS, ClientPhase

_ORDER: Final = {phase: place for place, phase in enumerate(ClientPhase)}
_ADVERTISED: Final = _ORDER[ClientPhase.SHARE_KEYS]
_OPENED: Final = _ORDER[ClientPhase.MASKED_INPUT]
_UNMASKING: Final = _ORDER[ClientPhase.UNMASKING]


class Move(NamedTuple):
    """One step: the server sends a message to a client, which answers it; no message means that it never will."""

    client: int
    message: Message | None


class Adversary:
    """All moves of a lying server against one cohort.

    Args:
        cohort: who takes part.
        rules: what the honest clients check.
        withholds: it may also stop serving a client that would answer. Knowledge never shrinks, so that this finds
            no breach that is not found without it; it is the long way round, for small cohorts.
        keeps_views: states tell the sets for which shares were revealed.
    """

    def __init__(self, cohort: Cohort, rules: Rules, *, withholds: bool, keeps_views: bool) -> None:
        self.cohort = cohort
        self.rules = rules
        self.withholds = withholds
        self.keeps_views = keeps_views
        self._accepted: dict[tuple[int, Client, World], tuple[tuple[Message, Client], ...]] = {}

    def start(self, *, after_input: bool = False) -> State:
        """Nothing has happened yet; or, `after_input`, everybody sent its masked input and the server told no lie."""
        if not after_input:
            return State((Player(),) * self.cohort.honest)
        table = CLIENT_TRANSITIONS[self.rules.threat_model]
        phase = table[ClientPhase.MASKED_INPUT][MaskedInputCollectionRequest]
        everyone = self.cohort.everyone
        return State(tuple(Player(Client(phase, everyone, 0, everyone & ~(1 << i))) for i in range(self.cohort.honest)))

    def moves(self, state: State) -> Iterator[tuple[Move, State]]:
        """Every move of the client whose turn it is, with the state that follows, not yet in normal form."""
        acting = self._next_to_act(state)
        if acting is None:
            return
        options = self.accepted(state, acting)
        for message, client in options:
            yield Move(acting, message), self.after(state, acting, message, client)
        if self.withholds or not options:
            yield Move(acting, None), _put(state, acting, state.players[acting]._replace(stopped=True))

    def accepted(self, state: State, i: int) -> tuple[tuple[Message, Client], ...]:
        """Every message that client i would answer now, and the client after it."""
        client, world = state.players[i].client, self.world(state, i)
        if _ORDER[client.phase] < _UNMASKING:
            return self._answered(i, client, world)
        signers = self._best_signers(client, world)
        signed = tuple(
            (message._replace(third=signers), client._replace(phase=phase, survivors=survivors, dropped=dropped))
            for message, phase, survivors, dropped in self._lists(i, client)
        )
        if signed and receive(self.cohort, self.rules, i, client, signed[0][0], world).violation is None:
            return signed
        return ()

    def _answered(self, i: int, client: Client, world: World) -> tuple[tuple[Message, Client], ...]:
        key = (i, client, world)
        if key not in self._accepted:
            outcomes = (
                (message, receive(self.cohort, self.rules, i, client, message, world))
                for message in self._candidates(client)
            )
            self._accepted[key] = tuple(
                (message, outcome.client)
                for message, outcome in outcomes
                if outcome.violation is None and outcome.client != client
            )
        return self._accepted[key]

    def _lists(self, i: int, client: Client) -> list[tuple[Message, ClientPhase, int, int]]:
        """The lists of survivors and dropped that client i answers if the signatures are right.

        They are by far the most messages, no check of theirs looks at the binding, and none at the client's name: they
        are tried once for clients that know the same, with everybody's signature, as client 0.
        """
        swap = list(range(self.cohort.clients))
        swap[0], swap[i] = swap[i], swap[0]
        names = tuple(swap)
        asked = _renamed(Player(client._replace(advertised=0, version=0)), names).client
        key = (0, asked, World(0, 0, self.cohort.everyone))
        return [
            (
                Message(message.kind, renamed(message.first, names), renamed(message.second, names)),
                after.phase,
                renamed(after.survivors, names),
                renamed(after.dropped, names),
            )
            for message, after in self._answered(*key)
        ]

    def world(self, state: State, i: int) -> World:
        """What the server has, as far as client i can tell."""
        me, pool = state.players[i].client, self.cohort.pool
        advertisements, pairs, signers = pool, me.advertised & pool, pool if me.view else 0
        for j, (other, *_) in enumerate(state.players):
            if _ORDER[other.phase] >= _ADVERTISED:
                advertisements |= 1 << j
            if other.advertised == me.advertised and other.version == me.version and me.advertised:
                pairs |= 1 << j if j != i else 0
                signers |= 1 << j if other.view == me.view and me.view else 0
        if me.phase is ClientPhase.SHARE_KEYS:
            return World(advertisements)
        if me.phase is ClientPhase.MASKED_INPUT:
            return World(0, pairs)
        return World(0, 0, signers)

    def after(self, state: State, i: int, message: Message, client: Client) -> State:
        """What the server has after client i answered a message."""
        if message.kind is not UnmaskingRequest:
            return _put(state, i, state.players[i]._replace(client=client))
        before = state.players[i].client
        seeds, mask_keys = client.survivors & ~before.survivors, client.dropped & ~before.dropped
        players = [
            player._replace(
                seeds=min(player.seeds + (seeds >> j & 1), self.cohort.threshold),
                mask_keys=min(player.mask_keys + (mask_keys >> j & 1), self.cohort.threshold),
            )
            for j, player in enumerate(state.players)
        ]
        last = not self.rules.answers_again or before.phase is ClientPhase.COMPLETED
        if last:
            client = client._replace(survivors=0, dropped=0)
        players[i] = players[i]._replace(client=client, stopped=last)
        answered = state.answered
        if self.keeps_views:
            answered |= {message.first | 1 << i}
        return State(tuple(players), answered)

    def _best_signers(self, client: Client, world: World) -> int:
        """All signatures that help: one more of a contributor never turns an answer into a refusal."""
        if not self.rules.active:
            return 0
        return world.signers & (
            client.view if self.rules.demands(Violation.CONFIRMATION_OF_A_STRANGER) else self.cohort.everyone
        )

    def _candidates(self, client: Client) -> Iterator[Message]:
        """Messages of the one kind that a phase takes: every set that a message could list, right or wrong."""
        row = CLIENT_TRANSITIONS[self.rules.threat_model][client.phase]
        everyone = self.cohort.everyone
        for kind in KINDS:
            if kind not in row or (row[kind] is ClientPhase.ABORTED and kind is not UnmaskingRequest):
                continue
            if kind is ShareKeysRequest:
                for advertised in subsets(everyone):
                    for version in range(2 if advertised & self.cohort.pool else 1):
                        yield Message(kind, advertised, version)
            elif kind in (MaskedInputCollectionRequest, ConsistencyCheckRequest):
                for listed in subsets(everyone):
                    yield Message(kind, listed)
            elif kind is UnmaskingRequest:
                signers = self._best_signers(client, World(0, 0, everyone))
                for survivors in subsets(everyone):
                    for dropped in subsets(everyone):
                        yield Message(kind, survivors, dropped, signers)
            else:
                yield Message(kind)

    def _next_to_act(self, state: State) -> int | None:
        live = [i for i, player in enumerate(state.players) if not player.stopped]
        for i in live:
            if _ORDER[state.players[i].client.phase] >= _UNMASKING and self.accepted(state, i):
                return i
        return min(live, key=lambda i: (_ORDER[state.players[i].client.phase], i), default=None)

    def normal(self, state: State) -> tuple[State, tuple[int, ...]]:
        """Forget what cannot matter any more, and sort the clients; also returns client i's new name at place i."""
        lean = self._forget(state)
        names = _names(self.cohort, lean)
        order = sorted(range(len(names)), key=names.__getitem__)
        both = (*names, *range(self.cohort.honest, self.cohort.clients))
        players = tuple(_renamed(lean.players[i], both) for i in order)
        return State(players, frozenset(renamed(view, both) for view in lean.answered)), names

    def _forget(self, state: State) -> State:
        """Drop signatures that reach t nowhere, then all that is no longer looked at of clients that have stopped."""
        phases = [_ORDER[player.client.phase] for player in state.players if not player.stopped]
        if any(phase <= _OPENED for phase in phases):
            return state
        to_sign = sum(phase == _ORDER[ClientPhase.CONSISTENCY_CHECK] for phase in phases)
        counting = self.rules.active and self.rules.demands(Violation.CONFIRMATIONS_BELOW_THRESHOLD)
        players = list(state.players)
        for i, player in enumerate(state.players):
            client = player.client
            view = client.view
            if view and counting:
                signed = (self.world(state, i).signers & view).bit_count()
                hopeless = signed + to_sign < self.cohort.threshold
                if hopeless and client.phase is ClientPhase.UNMASKING and not player.stopped:
                    player = player._replace(stopped=True)
                asked = any(
                    not other.stopped and other.client.phase is ClientPhase.UNMASKING and other.client.view == view
                    for other in state.players
                )
                view = 0 if hopeless or not (to_sign or asked) else view
            elif client.phase is ClientPhase.COMPLETED or player.stopped:
                view = 0
            if player.stopped and not view:
                shared = (client.advertised & self.cohort.pool) | (1 << i if client.advertised else 0)
                player = player._replace(client=Client(ClientPhase.COMPLETED, shared, 0, client.sharers))
            players[i] = player
        return State(tuple(players), state.answered)


def _put(state: State, i: int, player: Player) -> State:
    return State((*state.players[:i], player, *state.players[i + 1 :]), state.answered)


def _renamed(player: Player, names: tuple[int, ...]) -> Player:
    client = player.client
    return player._replace(
        client=Client(
            client.phase,
            renamed(client.advertised, names),
            client.version,
            renamed(client.sharers, names),
            renamed(client.view, names),
            renamed(client.survivors, names),
            renamed(client.dropped, names),
        )
    )


def _names(cohort: Cohort, state: State) -> tuple[int, ...]:
    """New names of the honest clients: sorted by what is true of them whatever they are called, ties as they stand.

    States of one orbit may get different forms when ties are left; that costs states, never a breach.
    """
    count, pool = cohort.honest, cohort.pool
    rows = [
        (client.advertised, client.sharers, client.view, client.survivors, client.dropped)
        for client, *_ in state.players
    ]
    colours: list[tuple[object, ...]] = [
        (
            _ORDER[player.client.phase],
            player.stopped,
            player.seeds,
            player.mask_keys,
            player.client.version,
            *(part for clients in row for part in (clients.bit_count(), clients & pool)),
            *(sum(view >> i & 1 for view in state.answered),),
        )
        for i, (player, row) in enumerate(zip(state.players, rows, strict=True))
    ]
    links = [
        [
            (a >> j & 1) | (h >> j & 1) << 1 | (k >> j & 1) << 2 | (s >> j & 1) << 3 | (d >> j & 1) << 4
            for j in range(count)
        ]
        for a, h, k, s, d in rows
    ]
    ranks = _ranks(colours)
    for _ in range(2):
        if max(ranks) == count - 1:
            break
        ranks = _ranks(
            [
                (ranks[i], *sorted((ranks[j], links[i][j], links[j][i]) for j in range(count) if j != i))
                for i in range(count)
            ]
        )
    order = sorted(range(count), key=lambda i: (ranks[i], i))
    names = [0] * count
    for place, i in enumerate(order):
        names[i] = place
    return tuple(names)


def _ranks(colours: list[tuple[object, ...]]) -> list[int]:
    places = {colour: place for place, colour in enumerate(sorted(set(colours)))}
    return [places[colour] for colour in colours]
