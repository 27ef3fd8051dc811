"""`secagg demo`: digits learned by clients that leave, under secure aggregation and without it, and a picture.

Puts data, learning, tables and picture together. Must not know how any of them works.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

import secagg
from secagg.cli.demo import picture
from secagg.cli.demo.federated import FederatedRound, Federation
from secagg.cli.demo.show import print_comparison, rounds_shown
from secagg.cli.options import MaybeFloat, MaybeInt, MaybeText
from secagg.cli.output import JsonFlag, print_json, print_sentences
from secagg.cli.service.connecting import needs_service


def demo(
    rounds: Annotated[
        MaybeInt, typer.Option(help="Rounds of federated learning; 10, with --privacy 15, with --attack 8.")
    ] = None,
    clients: Annotated[
        MaybeInt,
        typer.Option(
            help="Clients, at least 20: five of 20 leave in every round. 20, with --privacy 100, with --attack 50."
        ),
    ] = None,
    output: Annotated[Path, typer.Option(help="Where the picture goes (PNG).")] = Path("secagg-demo.png"),
    seed: Annotated[
        int,
        typer.Option(help="Repeats data, training and dropouts; keys and masks never, except with --attack."),
    ] = 1,
    network: Annotated[
        bool,
        typer.Option(
            "--network", help="Instead: a server process and a process for each client over TLS, some killed."
        ),
    ] = False,
    cluster: Annotated[
        bool,
        typer.Option(
            "--cluster",
            help="Instead: the same with three servers behind HAProxy over PostgreSQL, of which one dies for good.",
        ),
    ] = False,
    web: Annotated[
        bool,
        typer.Option("--web", help="Instead: a private survey to answer in a browser, with simulated participants."),
    ] = False,
    people: Annotated[
        MaybeInt, typer.Option(help="With --web: how many real people are invited, with a link each; 1.")
    ] = None,
    port: Annotated[MaybeInt, typer.Option(help="With --web: the page's port on this machine; 8480.")] = None,
    privacy: Annotated[
        MaybeText,
        typer.Option(
            metavar="epsilon=8",
            help="Instead: differential privacy, with noise of the clients; also delta=1e-5,clip=1. No picture.",
        ),
    ] = None,
    attack: Annotated[
        MaybeText,
        typer.Option(
            metavar="sign-flip",
            help="Instead: clients that lie, in one session and in cells; sign-flip, label-flip or none. No picture.",
        ),
    ] = None,
    defence: Annotated[
        MaybeText,
        typer.Option(
            metavar="siren",
            help="With --attack: what judges the cells: siren (if not given), fltrust, median, multi-krum, none, ...",
        ),
    ] = None,
    malicious: Annotated[
        MaybeFloat,
        typer.Option(
            help="With --attack: fraction that lies; by itself the most of 0.2, 0.1, 0.05 that the defence bears."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Train a real model under secure aggregation while clients leave, beside the same training without it."""
    asked = {"--attack": (attack, defence, malicious) != (None, None, None), "--privacy": privacy is not None}
    chosen = [
        option
        for option, is_asked in (asked | {"--network": network, "--cluster": cluster, "--web": web}).items()
        if is_asked
    ]
    if len(chosen) > 1:
        raise secagg.ParameterError(f"{chosen[0]} and {chosen[1]} are two demos; give one of them")
    if not web and (people, port) != (None, None):
        raise secagg.ParameterError("--people and --port go with --web; give it, too, or leave them out")
    if web:
        with needs_service("demo --web"):
            from secagg.cli.demo.web import PORT, web_demo
        web_demo(1 if people is None else people, PORT if port is None else port, as_json)
        return
    if asked["--attack"]:
        from secagg.cli.demo.attack import attack_demo

        _check(1 if rounds is None else rounds, seed, output)
        attack_demo(attack, defence, malicious, rounds, clients, seed, as_json)
        return
    if privacy is not None:
        from secagg.cli.demo.private import private_demo

        private_demo(privacy, rounds, clients, seed, as_json)
        return
    rounds, clients = 10 if rounds is None else rounds, 20 if clients is None else clients
    if network:
        with needs_service("demo --network"):
            from secagg.cli.demo.network import network_demo
        network_demo(clients, as_json)
        return
    if cluster:
        with needs_service("demo --cluster"):
            from secagg.cli.demo.cluster import cluster_demo
        cluster_demo(clients, as_json)
        return
    started = time.perf_counter()
    _check(rounds, seed, output)
    figure = picture.new_figure()
    federation = Federation(clients, seed)
    session = federation.session(1)
    if not as_json:
        print_sentences(_introduction(federation, session))
    done: list[FederatedRound] = []
    with rounds_shown(rounds, quiet=as_json) as show:
        for _ in range(rounds):
            done.append(federation.run_round())
            show(done[-1])
    if federation.exhibit is None:
        raise secagg.InternalError("no round has run")
    picture.draw(figure, done, federation.exhibit)
    picture.save(figure, output)
    if as_json:
        record = _record(federation, session, done)
        print_json(record | {"seed": seed, "output": str(output), "wall_seconds": time.perf_counter() - started})
        return
    print_comparison(done)
    print_sentences(
        f"The picture {output} shows both accuracy curves and, for client {federation.exhibit.client} in round 1, "
        "its secret update, the masked upload that the server saw instead, and the average that the server learned."
    )


def _check(rounds: int, seed: int, output: Path) -> None:
    if rounds < 1:
        raise secagg.ParameterError(f"--rounds {rounds} is below 1; train for at least one round")
    if not 0 <= seed < 1 << 64:
        raise secagg.ParameterError(f"--seed {seed} is outside 0 .. 2^64-1; give a number in it")
    if output.is_dir() or not output.parent.is_dir():
        raise secagg.ParameterError(f"--output {output} is no file in an existing directory; name a PNG file in one")


def _introduction(federation: Federation, session: secagg.SessionParameters) -> str:
    sizes = federation.sizes
    return (
        f"{federation.clients} clients hold {sum(sizes)} of scikit-learn's digits, {min(sizes)} to {max(sizes)} each, "
        f"with labels of their own; {len(federation.test)} digits test the model.\n"
        f"Every round is a session of the active model: {session.topology.kind.value} graph, "
        f"threshold {session.threshold} of {session.topology.degree}, updates weighted by numbers of examples, "
        "clients leaving in all five protocol rounds."
    )


def _record(federation: Federation, session: secagg.SessionParameters, done: list[FederatedRound]) -> dict[str, Any]:
    last = done[-1]
    return {
        "clients": federation.clients,
        "examples_per_client": list(federation.sizes),
        "test_examples": len(federation.test),
        "threat_model": session.threat_model.value,
        "topology": session.topology.kind.value,
        "degree": session.topology.degree,
        "threshold": session.threshold,
        "rounds": [
            {
                "round": each.number,
                "cohort": each.cohort,
                "dropouts": {round_.value: list(clients) for round_, clients in each.left.items()},
                "contributors": list(each.contributors),
                "examples": each.examples,
                "secure_accuracy": each.secure_accuracy,
                "plain_accuracy": each.plain_accuracy,
                "max_difference": each.difference,
                "clipped": each.clipped,
                "exact": each.exact,
                "seconds": each.seconds,
            }
            for each in done
        ],
        "secure_accuracy": last.secure_accuracy,
        "plain_accuracy": last.plain_accuracy,
        "max_difference": last.difference,
        "exact": all(each.exact for each in done),
    }
