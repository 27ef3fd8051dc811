"""A server that lies about cells gets nothing but the one sum of a node's own whole cell.

The liar writes offers of its own and sends them to one node; what it may not get is keys, from which all else follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.common.serde import context_from_proto, context_to_proto

import secagg
from secagg.integrations.cells import ROUND, Said
from secagg.integrations.contribution import with_report
from secagg.integrations.flower import DirectoryLedger, Node, OwnCells, SecAggConfig, records, run_session, secagg_mod
from secagg.integrations.flower.cells import cells_of_run, run_cells
from secagg.robust import CellRound, Partition
from secagg.store.participations import ParticipationFile
from tests.integrations.flower.support import Cohort, Trainer, cohort, instructions, refusal, stage
from tests.integrations.flower.test_cells import SEED, config, in_cells, own

VICTIM = 1
PARTITION = Partition.draw(range(1, 13), size=4, seed=SEED)
OTHER = Partition.draw(range(1, 13), size=4, seed=bytes(32))
VECTORS = with_report({"arrays/w": secagg.FixedPoint(4, clip=1.0, bits=16, aggregate="mean")})


def ask(
    group: Cohort,
    parameters: secagg.SessionParameters,
    said: Said | None,
    client: int = VICTIM,
    *,
    kind: str = "train",
) -> Message:
    """Offer a session to a node."""
    server = secagg.ServerSession(parameters, roster=group.roster)
    asked = records.Asked(records.session_tag(server.offer), server.requests[client], server.offer, "advertise_keys")
    cells = None if said is None else said.to_bytes()
    return group.grid.ask(100 + client, Message(records.request_content(asked, None, None, cells), 100 + client, kind))


def cell_of(
    partition: Partition,
    instruction: int = 1,
    *,
    client: int = VICTIM,
    vectors: Mapping[str, Any] = VECTORS,
    **what: Any,
) -> Any:
    """Parameters and words of an honest server's offer of one cell."""
    model = bytes([instruction]) * 32
    round_ = CellRound(partition, vectors, model, ROUND, **what)
    return round_.parameters(partition.cell_of(client)), Said.of(partition, model)


def whole_cohort(clients: list[int], **what: Any) -> secagg.SessionParameters:
    settings = {"vectors": VECTORS, "max_corrupt": 0.0, "max_dropout": 0.2, **what}
    return secagg.SessionParameters.choose(clients=clients, **settings)


def test_an_honest_offer_is_answered_and_so_is_its_retry() -> None:
    group = in_cells()
    for _ in range(2):  # another nonce, another session
        assert ask(group, *cell_of(PARTITION)).has_content()
    assert ask(group, *cell_of(PARTITION, 2)).has_content()


def test_a_second_cell_in_one_round_is_refused_even_where_another_partition_is_allowed() -> None:
    group = cohort(12, active=False, cells=OwnCells(floor=4, regroupings=1))
    assert ask(group, *cell_of(PARTITION)).has_content()
    assert "has this client in another cell" in refusal(ask(group, *cell_of(OTHER)))
    assert ask(group, *cell_of(OTHER, 2)).has_content()
    assert ask(group, *cell_of(PARTITION, 3)).has_content()
    third = Partition.draw(range(1, 13), size=4, seed=SEED, epoch=1)
    assert "is in 2 other partitions already" in refusal(ask(group, *cell_of(third, 4)))


def test_other_bounds_are_refused_in_every_round_and_an_evaluation_has_its_own() -> None:
    """An instruction of another word is another round, in which an app computes the same once more."""
    group = in_cells()
    narrow = with_report({"arrays/w": secagg.FixedPoint(4, clip=0.5, bits=16, aggregate="mean")})
    assert ask(group, *cell_of(PARTITION)).has_content()
    for instruction in (1, 2):
        assert "is not what it was before" in refusal(ask(group, *cell_of(PARTITION, instruction, vectors=narrow)))
    parameters, said = cell_of(PARTITION, 3, vectors=narrow)
    assert ask(group, parameters, said, kind="evaluate").has_content()
    parameters, said = cell_of(PARTITION, 4)
    assert "of kind 'evaluate' is not what" in refusal(ask(group, parameters, said, kind="evaluate"))
    assert ask(group, *cell_of(PARTITION, 4)).has_content()
    # The same function of the app by its other name.
    parameters, said = cell_of(PARTITION, 5, vectors=narrow)
    assert "of kind 'train' is not what" in refusal(ask(group, parameters, said, kind="train.default"))
    assert ask(group, parameters, said, kind="evaluate.default").has_content()
    allowed = cohort(12, active=False, cells=OwnCells(floor=4, other_sums=1))
    for instruction, vectors in ((1, VECTORS), (2, narrow), (3, VECTORS)):
        assert ask(allowed, *cell_of(PARTITION, instruction, vectors=vectors)).has_content()


def test_weights_are_refused_in_a_cell() -> None:
    """Not only by an honest server's settings: a node with many examples would be the mean of its cell."""
    group = in_cells()
    parameters, said = cell_of(PARTITION)
    assert "max_weight=1000 lets one client outweigh" in refusal(ask(group, replace(parameters, max_weight=1000), said))
    assert ask(group, parameters, said).has_content()


def test_training_is_not_summed_under_the_bounds_of_an_evaluation() -> None:
    """The offer is of an evaluation, and what comes with the request for the masked input is to be trained on."""
    group = in_cells()
    run_cells(group.grid, instructions(group.grid.apps), config(group), cells_of_run(config(group)), clock=group.clock)
    assert group.trainers[VICTIM].trained
    group.trainers[VICTIM].trained.clear()
    lower = config(group, clip=0.25)

    def change(node: int, message: Message) -> Message | None:
        if stage(message) == "masked_input":
            return message
        other = Message(message.content, message.metadata.dst_node_id, "evaluate", group_id=message.metadata.group_id)
        other.metadata.__dict__["_message_id"] = message.metadata.message_id
        return other

    group.grid.on_request = change
    with pytest.raises(secagg.SessionAbortedError):
        run_cells(
            group.grid, instructions(group.grid.apps, server_round=2), lower, cells_of_run(lower), clock=group.clock
        )
    assert not group.trainers[VICTIM].trained
    assert any(
        "of kind 'train' is not what it was before" in refusal(r) for _, r in group.grid.replies if r.has_error()
    )


def test_one_instruction_is_summed_once_where_the_owner_says_so(tmp_path: Path) -> None:
    """Rounds have no numbers that a server could count up: the same instruction is the same context."""
    policy = secagg.ClientPolicy(sums_per_context=1)
    node = Node(VICTIM, policy=policy, cells=OwnCells(floor=4), participations=ParticipationFile(tmp_path / "sums"))
    group = in_cells()
    group.grid.apps = {**group.grid.apps, 101: Trainer(0.01).app(secagg_mod(node))}
    settings = config(group)
    cells = cells_of_run(settings)
    mine = Partition.draw(range(1, 13), size=4, seed=SEED).cell_of(VICTIM)
    for server_round, missing in ((1, ()), (1, (mine,)), (2, ())):
        messages = instructions(group.grid.apps, server_round=server_round)
        outcome = run_cells(group.grid, messages, settings, cells, clock=group.clock)
        assert tuple(outcome.missing) == missing


def others(name: str) -> Partition:
    made = {
        "seed": OTHER,
        "epoch": Partition.draw(range(1, 13), size=4, seed=SEED, epoch=1),
        "size": Partition.draw(range(1, 13), size=6, seed=SEED),
        "clients": Partition.draw(range(1, 14), size=4, seed=SEED),
    }
    return made[name]


@pytest.mark.parametrize("what", ["seed", "epoch", "size", "clients"])
def test_another_partition_in_a_later_round_is_refused(what: str) -> None:
    group = in_cells()
    assert ask(group, *cell_of(PARTITION)).has_content()
    assert "is in 1 other partitions already" in refusal(ask(group, *cell_of(others(what), 2)))
    assert ask(group, *cell_of(PARTITION, 3)).has_content()


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("seed", f"this client's cells have seed {SEED.hex()}, and the server's seed {'00' * 32}; give both sides"),
        ("epoch", "this client's cells have epoch 0, and the server's epoch 1"),
        ("size", "this client's cells have size 4, and the server's size 6"),
        ("clients", "the server's cells have client 13, and this client's have not (12 and 13 clients)"),
    ],
)
def test_cells_that_are_not_the_owners_are_refused_with_both_values(what: str, sentence: str) -> None:
    group = cohort(12, active=False, cells=own(12, epoch=0))
    assert ask(group, *cell_of(PARTITION)).has_content()
    assert sentence in refusal(ask(group, *cell_of(others(what), 2)))


def test_a_whole_cohort_is_refused_after_cells_and_cells_after_a_whole_cohort() -> None:
    everybody = list(range(1, 13))
    group = in_cells()
    assert ask(group, *cell_of(PARTITION)).has_content()
    assert "is in sums of its own cell" in refusal(ask(group, whole_cohort(everybody), None))
    # The same clients as the cell's, without a word of cells.
    members = list(PARTITION.cells[PARTITION.cell_of(VICTIM)])
    assert "is in sums of its own cell" in refusal(ask(group, whole_cohort(members), None))
    before = in_cells()
    assert ask(before, whole_cohort(everybody), None).has_content()
    assert "is in 1 other partitions already" in refusal(ask(before, *cell_of(PARTITION)))
    assert ask(before, whole_cohort(everybody[:-1]), None).has_content()


def test_a_node_that_its_owner_put_into_cells_is_in_no_whole_cohort() -> None:
    group = cohort(12, active=False, cells=own(12))
    with pytest.raises(secagg.SessionAbortedError):
        run_session(group.grid, instructions(group.grid.apps), SecAggConfig(), clock=group.clock)
    replies = [reply for _, reply in group.grid.replies if reply.has_error()]
    assert len(replies) == 12
    assert "gives its data to sums of its own cell of 4 only" in refusal(replies[0])
    assert not any(trainer.trained for trainer in group.trainers.values())


def with_one_missing(parameters: secagg.SessionParameters) -> secagg.SessionParameters:
    return replace(parameters, minimum_contributors=parameters.clients - 1)


def with_fewer_shares(parameters: secagg.SessionParameters) -> secagg.SessionParameters:
    return replace(parameters, threshold=parameters.threshold - 1)


def without_a_member(parameters: secagg.SessionParameters) -> secagg.SessionParameters:
    left = [client for client in parameters.cohort if client in (VICTIM, *parameters.cohort[:3])][:3]
    return whole_cohort(left, context=parameters.context, minimum_contributors=3, threshold=2, max_dropout=0.0)


def with_an_accomplice(parameters: secagg.SessionParameters) -> secagg.SessionParameters:
    cohort = [*parameters.cohort, 99]
    return whole_cohort(cohort, context=parameters.context, minimum_contributors=5, threshold=4, max_dropout=0.0)


def of_another_round(parameters: secagg.SessionParameters) -> secagg.SessionParameters:
    return cell_of(PARTITION, 2)[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (with_one_missing, "minimum_contributors=3 would release the sum of a part of the cell"),
        (with_fewer_shares, "threshold=2 lets fewer"),
        (without_a_member, "the cohort of 3 clients is not cell"),
        (with_an_accomplice, "the cohort of 5 clients is not cell"),
        (of_another_round, "the context is not that of this model, round, partition, cell and plan"),
    ],
)
def test_a_session_that_is_not_of_the_whole_cell_is_refused(change: Any, sentence: str) -> None:
    group = in_cells()
    parameters, said = cell_of(PARTITION)
    assert sentence in refusal(ask(group, change(parameters), said))
    # Nothing of it was counted: the honest offer of the round is answered.
    assert ask(group, parameters, said).has_content()


def test_cells_below_the_floor_and_cells_without_the_node_are_refused() -> None:
    group = in_cells()
    small = Partition.draw(range(1, 13), size=3, seed=SEED)
    assert "has 3 members, below floor=4" in refusal(ask(group, *cell_of(small)))
    strangers = Partition.draw(range(20, 32), size=4, seed=SEED)
    parameters, said = cell_of(strangers, client=20)
    offer = secagg.ServerSession(parameters)
    asked = records.Asked(records.session_tag(offer.offer), offer.requests[20], offer.offer, "advertise_keys")
    content = records.request_content(asked, None, None, said.to_bytes())
    assert group.grid.ask(101, Message(content, 101, "train")).has_error()
    elsewhere = Said.of(strangers, bytes(32))
    assert "client 1 is in none of the 3 cells" in refusal(ask(group, cell_of(PARTITION)[0], elsewhere))


@pytest.mark.parametrize("how", ["restarted", "rolled back"])
def test_a_node_with_a_durable_ledger_remembers_after_a_restart(tmp_path: Path, how: str) -> None:
    group = in_cells()
    node = Node(VICTIM, cells=OwnCells(floor=4, regroupings=1), ledger=DirectoryLedger(tmp_path))
    group.grid.apps = {**group.grid.apps, 101: Trainer(0.01).app(secagg_mod(node))}
    before = context_to_proto(group.grid.contexts[101])
    assert ask(group, *cell_of(PARTITION)).has_content()
    # A node that restarts has nothing left but its disk; a second process begins with what the first had.
    group.grid.contexts[101] = context_from_proto(before)
    if how == "restarted":
        again = Node(VICTIM, cells=OwnCells(floor=4), ledger=DirectoryLedger(tmp_path))
        group.grid.apps = {**group.grid.apps, 101: Trainer(0.01).app(secagg_mod(again))}
        assert "is in 1 other partitions already" in refusal(ask(group, *cell_of(OTHER, 2)))
        assert "is in sums of its own cell" in refusal(ask(group, whole_cohort(list(range(1, 13))), None))
    else:
        assert "has this client in another cell" in refusal(ask(group, *cell_of(OTHER)))
    assert ask(group, *cell_of(PARTITION, 3)).has_content()


def test_the_context_of_a_run_remembers_cells_beyond_sessions() -> None:
    group = in_cells()
    settings = config(group)
    cells = cells_of_run(settings)
    for server_round in (1, 2, 3):
        messages = instructions(group.grid.apps, server_round=server_round)
        run_cells(group.grid, messages, settings, cells, clock=group.clock)
    assert "is in 1 other partitions already" in refusal(ask(group, *cell_of(OTHER, 9)))
    phases = [key.partition(":")[0] for key in group.grid.contexts[101].state.config_records["secagg.ledger"]]
    assert (phases.count("cell"), phases.count("partition"), phases.count("masked_input")) == (3, 1, 1)


@pytest.mark.parametrize("lie", ["model", "partition", "cells"])
def test_what_arrives_with_the_masked_input_is_what_was_offered(lie: str) -> None:
    """The node computes the context again, from the model itself and its own cell."""
    group = in_cells()

    def change(node: int, message: Message) -> Message | None:
        if node != 101 or stage(message) != "masked_input":
            return message
        said = Said.from_bytes(message.content.config_records["secagg.cells"]["cells"])  # type: ignore[arg-type]
        if lie == "model":
            message.content["config"] = ConfigRecord({"server-round": 1, "lr": 9.0})
        elif lie == "partition":
            message.content["secagg.cells"] = ConfigRecord({"cells": replace(said, epoch=1).to_bytes()})
        else:
            message.content = RecordDict({k: v for k, v in message.content.items() if k != "secagg.cells"})
        return message

    group.grid.on_request = change
    settings = config(group)
    outcome = run_cells(group.grid, instructions(group.grid.apps), settings, cells_of_run(settings), clock=group.clock)
    assert not group.trainers[1].trained
    assert outcome.sums.missing == (outcome.partition.cell_of(1),)
    (error,) = [reply for _, reply in group.grid.replies if reply.has_error()]
    assert "are not those that the session was opened for" in refusal(error)


def test_in_the_active_model_cells_come_from_the_owner() -> None:
    group = cohort(12)
    assert "its owner gave it, and this client has none" in refusal(
        ask(group, *cell_of(PARTITION, threat_model="active"))
    )
    told = cohort(12, cells=own(12))
    assert ask(told, *cell_of(PARTITION, threat_model="active")).has_content()
    over_the_roster = cohort(12, cells=OwnCells(size=4, seed=SEED, floor=4))
    assert ask(over_the_roster, *cell_of(PARTITION, threat_model="active")).has_content()
    sized = cohort(12, cells=OwnCells(size=4, floor=4))
    assert "has none; give it their size and their seed" in refusal(
        ask(sized, *cell_of(PARTITION, threat_model="active"))
    )


def test_cells_in_the_active_model_have_eight_members_unless_the_owner_says_less() -> None:
    ids = frozenset(range(1, 13))
    careful = cohort(12, cells=OwnCells(size=4, seed=SEED, clients=ids))
    assert "has 4 members, below floor=8" in refusal(ask(careful, *cell_of(PARTITION, threat_model="active")))


@pytest.mark.parametrize("data", [b"", b"x", bytes(79), bytes(80), bytes(81), bytes(80 + 8), bytes(80 + 16)])
def test_words_of_cells_that_are_none(data: bytes) -> None:
    group = in_cells()
    server = secagg.ServerSession(cell_of(PARTITION)[0])
    asked = records.Asked(records.session_tag(server.offer), server.requests[1], server.offer, "advertise_keys")
    assert refusal(group.grid.ask(101, Message(records.request_content(asked, None, None, data), 101, "train")))
    content = records.request_content(asked, None, None)
    content["secagg.cells"] = ConfigRecord({"cells": "text"})
    assert "holds no bytes" in refusal(group.grid.ask(101, Message(content, 101, "train")))


def test_more_clients_than_the_node_would_reckon_with_are_refused() -> None:
    group = cohort(12, active=False, policy=secagg.ClientPolicy(maximum_cohort=11), cells=OwnCells(floor=4))
    assert "cells have 12 clients, and this client allows 11" in refusal(ask(group, *cell_of(PARTITION)))
