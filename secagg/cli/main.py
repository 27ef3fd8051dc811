"""The `secagg` command: its commands, and the one place where an error becomes a sentence and an exit code.

Exit codes: 0 for a result, 1 for a session that ended without one, a conformance run that failed or an audit that found
more than was promised, 2 for bad input, 130 for an interrupt. Whatever secagg raises on purpose is one sentence on
standard error, and with --json one object with `error` on standard output; a traceback is a bug.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Final

import typer

import secagg
from secagg.cli.complaints import complaint
from secagg.cli.output import print_json, print_problem, shown

EXIT_NO_RESULT: Final = 1
EXIT_BAD_INPUT: Final = 2
EXIT_INTERRUPTED: Final = 130

# What these commands have under --json is where the results go.
_JSON_IS_A_FILE: Final = (["bench", "run"], ["poisoning", "run"])

# Said without any command.
_OF_ITSELF: Final = ("--version", "--show-completion", "--install-completion")
_COMPLETING: Final = "_SECAGG_COMPLETE"

# The base of all complaints about a command line; typer vendors it or imports it from click, by its version.
_CommandLineError: type[Exception] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)


def _local(app: typer.Typer) -> None:
    from secagg.cli.local.params import params
    from secagg.cli.local.simulate import simulate

    app.command(short_help="Run a session in this process, and say what it cost.")(simulate)
    app.command(short_help="Compute graph and threshold of a session, and say why.")(params)


def _demo(app: typer.Typer) -> None:
    from secagg.cli.demo.command import demo

    app.command(short_help="Train a real model while clients leave, or lie.")(demo)


def _keys(app: typer.Typer) -> None:
    from secagg.cli.keys.enroll import enroll
    from secagg.cli.keys.invite import invite_clients
    from secagg.cli.keys.key import app as key
    from secagg.cli.keys.keygen import keygen
    from secagg.cli.keys.roster import app as roster
    from secagg.cli.keys.verify_blame import verify_blame

    app.command(short_help="Make an identity key.")(keygen)
    app.command(short_help="Make a roster of keys, change it, and sign it.")(enroll)
    app.command("invite", short_help="Invite clients to a roster by links.")(invite_clients)
    app.add_typer(key, name="key", short_help="Show which key a file holds.")
    app.add_typer(roster, name="roster", short_help="Show who is in a roster.")
    app.command(short_help="Say whether evidence shows that a client lied.")(verify_blame)


def _serve(app: typer.Typer) -> None:
    from secagg.cli.service.serve import serve

    app.command(short_help="Serve sessions over gRPC.")(serve)


def _audit(app: typer.Typer) -> None:
    from secagg.cli.service.audit import app as audit

    app.add_typer(audit, name="audit", short_help="Say whether an audit log is whole.")


def _reload(app: typer.Typer) -> None:
    from secagg.cli.service.reload import reload

    app.command(short_help="Have a running server read its configuration again.")(reload)


def _join(app: typer.Typer) -> None:
    from secagg.cli.service.join import join

    app.command(short_help="Take part in a session with one input.")(join)


def _accept(app: typer.Typer) -> None:
    from secagg.cli.service.accept import accept

    app.command(short_help="Redeem the invitation of a link.")(accept)


def _status(app: typer.Typer) -> None:
    from secagg.cli.service.status import status

    app.command(short_help="Show rounds, answers and dropouts of a server.")(status)


def _result(app: typer.Typer) -> None:
    from secagg.cli.service.result import result

    app.command(short_help="Fetch the sum of a completed session.")(result)


def _session(app: typer.Typer) -> None:
    from secagg.cli.service.session import app as session

    app.add_typer(session, name="session", short_help="Make, watch, end and discard sessions of a server.")


def _database(app: typer.Typer) -> None:
    from secagg.cli.service.database import app as database

    app.add_typer(database, name="database", short_help="Look after the database that several servers share.")


def _conformance(app: typer.Typer) -> None:
    from secagg.cli.tools.conformance import app as conformance

    app.add_typer(conformance, name="conformance", short_help="Check an implementation of the protocol.")


def _bench(app: typer.Typer) -> None:
    from secagg.cli.tools.bench import app as bench

    app.add_typer(bench, name="bench", short_help="Measure the library against the floors of this machine.")


def _poisoning(app: typer.Typer) -> None:
    from secagg.cli.tools.poisoning import app as poisoning

    app.add_typer(poisoning, name="poisoning", short_help="Play liars against rules over sums.")


def _privacy(app: typer.Typer) -> None:
    from secagg.cli.privacy.command import app as privacy

    app.add_typer(privacy, name="privacy")


_ADDED_BY: Final[Mapping[str, Callable[[typer.Typer], None]]] = {
    **dict.fromkeys(("simulate", "params"), _local),
    "demo": _demo,
    **dict.fromkeys(("keygen", "enroll", "invite", "key", "roster", "verify-blame"), _keys),
    "serve": _serve,
    "audit": _audit,
    "reload": _reload,
    "accept": _accept,
    "join": _join,
    "status": _status,
    "result": _result,
    "session": _session,
    "database": _database,
    "conformance": _conformance,
    "bench": _bench,
    "poisoning": _poisoning,
    "privacy": _privacy,
}


def application(words: Sequence[str] = ("--help",)) -> typer.Typer:
    """Return the command line for these words: with all commands, or with the room of the one that is called.

    What a command needs is imported when it is called: the version and the help of a key must not wait for what plots.
    """
    # Plain help: tables of eighty columns cut the names of options.
    app = typer.Typer(
        name="secagg",
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_describe)
    called = next(iter(words), "")
    if called not in _OF_ITSELF:
        for add in dict.fromkeys([_ADDED_BY[called]] if called in _ADDED_BY else _ADDED_BY.values()):
            add(app)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"secagg {secagg.__version__}\n")
        raise typer.Exit


def _describe(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Cryptographic secure aggregation: a server learns the sum of its clients' vectors and nothing else."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: the words after `secagg`; None takes those of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words[: words.index("--") if "--" in words else None] and words[:2] not in _JSON_IS_A_FILE
    try:
        command = typer.main.get_command(application(_to_complete() if _COMPLETING in os.environ else words))
        outcome = command.main(words or ["--help"], prog_name="secagg", standalone_mode=False)
    except secagg.ParameterError as error:
        return _fail(str(error), EXIT_BAD_INPUT, as_json)
    except _CommandLineError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # `secagg key`, which has commands of its own
            sys.stdout.write(f"{error}\n")
            return 0
        return _fail(complaint(error, words), EXIT_BAD_INPUT, as_json)
    except secagg.SecAggError as error:
        return _fail(str(error), EXIT_NO_RESULT, as_json)
    except MemoryError:
        return _fail("this machine lacks memory; take fewer clients or a shorter vector", EXIT_NO_RESULT, as_json)
    except (typer.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    return outcome if isinstance(outcome, int) else 0


def _to_complete() -> list[str]:
    """The words after `secagg` that a shell asks to complete; bash says them in another variable than zsh and fish."""
    return (os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")).split()[1:]


def _fail(sentence: str, code: int, as_json: bool) -> int:
    """Say what went wrong: to people on standard error, and with --json to programs on standard output as well."""
    print_problem(sentence)
    if as_json:
        print_json({"error": shown(" ".join(sentence.split())), "exit_code": code})
    return code


if __name__ == "__main__":
    sys.exit(main())
