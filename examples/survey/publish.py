"""Makes result.json, which the survey's page shows, of the file that `secagg result` has written.

    python examples/survey/publish.py sum.npz invitations.json authority.pub > result.json

Reads question.json beside it. Whoever was invited and is not in the sum has left.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from secagg.cli.demo.survey_question import VECTOR, Question
from secagg.hosting import ReleasedSum, read_result
from secagg.identity.invitations import verify_invitations
from secagg.identity.keys import load_public_key

HERE: Final = Path(__file__).parent


def published(released: ReleasedSum, clients: list[int]) -> dict[str, Any]:
    """What the page shows of a sum over some of the clients that were asked."""
    return {
        "state": "done",
        "asked": len(clients),
        "answered": len(released.contributors),
        "contributors": list(released.contributors),
        "left": {str(client): "" for client in clients if client not in released.contributors},
        **Question.read(HERE).said(released.vectors[VECTOR]),
    }


if __name__ == "__main__":
    total, invitations, authority = map(Path, sys.argv[1:])
    invited = verify_invitations(invitations.read_bytes(), load_public_key(authority))
    print(json.dumps(published(read_result(total), list(invited.keys))))
