"""What a mutation is, and which tests judge those of a row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parents[1]


@dataclass(frozen=True)
class Mutation:
    """One prevention removed.

    Attributes:
        row: of the table in tests/adversarial/README.md.
        what: what is taken out, in words.
        edits: (file in secagg/, text, replacement); the text must occur.
    """

    row: str
    what: str
    edits: tuple[tuple[str, str, str], ...]


def m(row: str, what: str, *edits: tuple[str, str, str]) -> Mutation:
    """Return a mutation."""
    return Mutation(row, what, edits)


@dataclass(frozen=True)
class Judges:
    """The tests that must pass without a mutation, and of which one must fail with it.

    Attributes:
        words: of pytest: paths, and `-k` where a part of them is meant.
        environment: "" for the main one, or the name under build/ of the one that has the package under test.
    """

    words: tuple[str, ...]
    environment: str = ""


_FLOWER: Final = Judges(
    (
        *(
            f"tests/integrations/flower/test_{name}.py"
            for name in ("node", "questions", "arrays", "mod", "lying_server")
        ),
        "-k",
        "old_roster or bounds_of_whole or every_array_is_averaged or only_some_nodes_return or all_weights_are_zero "
        "or gives_no_input or app_says_when or above_the_bound or cannot_be_opened or more_metrics or nodes_to_name",
    ),
    "flower",
)
_FLOWER_CELLS: Final = Judges(
    (
        *(f"tests/integrations/flower/test_{name}.py" for name in ("lying_about_cells", "cells", "robust_strategies")),
        "-k",
        "lying or whoever_is_away or longer_updates or alarms_are_given or too_few_cells_left",
    ),
    "flower",
)
_NVFLARE: Final = Judges(
    (
        *(f"tests/integrations/nvflare/test_{name}.py" for name in ("site", "session")),
        "-k",
        "old_roster or cannot_be_opened or learner_that_fails or counts_beyond or makes_a_site_leave "
        "or refusal_is_not_waited_for",
    ),
    "nvflare",
)
_NVFLARE_CELLS: Final = Judges(
    (
        *(f"tests/integrations/nvflare/test_{name}.py" for name in ("lying_about_cells", "cells")),
        "-k",
        "lying or away or longer or alarms_are_given",
    ),
    "nvflare",
)
_ELSEWHERE: Final = {
    "28": Judges(
        (
            "tests/transport/grpc/test_places.py",
            "tests/transport/http/test_connections.py",
            "tests/transport/http/test_strangers.py",
            "tests/transport/http/test_parts.py",
            "tests/hosting/test_quotas.py",
        )
    ),
    "33": Judges(
        (
            "tests/session/test_levels.py",
            "tests/encoding/test_quantization.py",
            "tests/parameters/test_vectors.py",
            "--hypothesis-profile",
            "quick",
        )
    ),
    "34": Judges(
        (
            "tests/protocol/test_one_departure.py",
            "tests/parameters/test_graph_parameters.py",
            "-k",
            "test_one_departure or one_neighbour_may_leave",
        )
    ),
    "35": Judges(
        (
            "tests/hosting/test_deadlines.py",
            "tests/protocol/test_server.py",
            "tests/transport/grpc/test_sessions.py",
            "tests/transport/grpc/test_lying_server.py",
            "-k",
            "abort_for_everybody or second_answer_that_differs or runs_again_after or completed_without or two_answers "
            "or hears_what",
        )
    ),
    "36": Judges(("tests/session/test_arrays.py",)),
    "37": Judges(
        (
            "tests/session/test_wrong_arguments.py",
            "tests/parameters/test_vectors.py",
            "tests/test_errors.py",
            "tests/transport/grpc/test_forks.py",
            "tests/cli/service/test_descriptors.py",
            "tests/cli/keys/test_show.py",
            "tests/cli/local/test_params.py",
            "tests/cli/test_main.py",
            "-k",
            "not bad_input and not aborted_session and not forked_child",
        )
    ),
    "44": Judges(
        (
            "tests/adversarial/test_blame.py",
            "tests/crypto/test_dealing.py",
            "tests/protocol/test_complaints.py",
            "tests/protocol/test_client_input.py",
            "--hypothesis-profile",
            "quick",
        )
    ),
    "45": Judges(
        (
            "tests/protocol/test_committed_shares.py",
            "tests/protocol/test_server_unmasking.py",
            "tests/crypto/test_commitments.py",
            "tests/adversarial/test_blame.py",
            "tests/hosting/test_restarts.py",
            "-k",
            "committed or commitments or another_length or blame or contradict or restarts",
        )
    ),
    "46": Judges(("tests/integrations/test_selection.py",)),
    "47": Judges(("tests/store/test_spool.py",)),
    "38": _FLOWER,
    "39": _NVFLARE,
    "40": _FLOWER_CELLS,
    "41": _NVFLARE_CELLS,
}


def judges(row: str) -> Judges:
    """The tests of a row: those named after it in tests/adversarial, where nothing else is said."""
    if row in _ELSEWHERE:
        return _ELSEWHERE[row]
    name = f"pitfall_{row}"
    files = [file for file in sorted(_HERE.glob("test_*.py")) if name in file.read_text(encoding="utf-8")]
    return Judges(("-k", name, *(f"tests/adversarial/{file.name}" for file in files)))


CLIENT: Final = "protocol/client.py"
SETUP: Final = "protocol/client_setup.py"
DEALING: Final = "protocol/client_dealing.py"
INPUT: Final = "protocol/client_input.py"
UNMASK: Final = "protocol/client_unmasking.py"
CHECK: Final = "protocol/consistency.py"
SERVER: Final = "protocol/server.py"
SERVER_SETUP: Final = "protocol/server_setup.py"
SERVER_INPUT: Final = "protocol/server_input.py"
SERVER_UNMASK: Final = "protocol/server_unmasking.py"
REBUILD: Final = "protocol/server_rebuilding.py"
BATCH: Final = "crypto/batch_decoding.py"
KEYS: Final = "crypto/key_schedule.py"
CODEC: Final = "wire/codec.py"
SESSION: Final = "session/client.py"
QUANTIZATION: Final = "encoding/quantization.py"
SESSION_VECTOR: Final = "encoding/session_vector.py"
VECTORS: Final = "parameters/vectors.py"
