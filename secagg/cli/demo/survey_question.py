"""The question of examples/survey: what is summed of its answers, and what the sum says.

An answer is a one among zeros, in one of two rows: of answers as they are, and of answers that their device has
randomized (`secagg.privacy.RandomizedResponse`). The page has the same file built in, and its SHA-256 is the context of
the session, as `context_file` of `secagg serve` has it: a server that asks something else is refused. Must not know
servers and pages.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import secagg
from secagg.privacy import RandomizedResponse

VECTOR: Final = "answers"
_FILE: Final = "question.json"
_PACKAGED: Final = Path(__file__).parent / "survey_page"
_SOURCE_TREE: Final = Path(__file__).parents[3] / "examples" / "survey"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        text: bytes of the file.
        options: the answers that there are, by number.
        response: how an answer is randomized.
        minimum_cohort: the page takes part with at least so many.
        max_dropout: the fraction of them that may leave.
    """

    text: bytes
    options: tuple[str, ...]
    response: RandomizedResponse
    minimum_cohort: int
    max_dropout: float

    @classmethod
    def read(cls, directory: Path) -> Question:
        """Read the question of a page; raises ParameterError for numbers that promise another epsilon than they say."""
        text = (directory / _FILE).read_bytes()
        given = json.loads(text)
        response = RandomizedResponse(len(given["options"]), given["keep"])
        if response != RandomizedResponse.choose(options=response.options, epsilon=given["epsilon"]):
            raise secagg.ParameterError(f"{_FILE} has keep={response.keep}, which is another epsilon than it says")
        return cls(text, tuple(given["options"]), response, given["minimumCohort"], given["maxDropout"])

    @property
    def context(self) -> bytes:
        """Of the session: the SHA-256 of the file."""
        return hashlib.sha256(self.text).digest()

    @property
    def shape(self) -> tuple[int, int]:
        """Of an input."""
        return 2, len(self.options)

    def parameters(self, clients: list[int]) -> secagg.SessionParameters:
        """Choose the session: a server that may lie, a quarter of the clients may leave."""
        return secagg.SessionParameters.choose(
            clients=clients,
            vectors={VECTOR: secagg.Integers(low=0, high=1, shape=self.shape)},
            threat_model=secagg.ThreatModel.ACTIVE,
            max_dropout=self.max_dropout,
            context=self.context,
            minimum_contributors=self.minimum_cohort,
        )

    def policy(self) -> secagg.ClientPolicy:
        """What a client accepts: this question, of enough people, and nothing else."""
        return secagg.ClientPolicy(
            threat_model=secagg.ThreatModel.ACTIVE,
            minimum_cohort=self.minimum_cohort,
            minimum_contributors=self.minimum_cohort,
            max_dropout=self.max_dropout,
            context=self.context,
            vectors={VECTOR: secagg.Integers(low=0, high=1, shape=self.shape)},
        )

    def input(self, answer: int, *, randomized: bool) -> NDArray[np.int64]:
        """Return the input for an answer, randomized here if it is to be: int64, (2, options)."""
        given = self.response.randomize(answer) if randomized else answer
        array = np.zeros(self.shape, dtype=np.int64)
        array[int(randomized), given] = 1
        return array

    def said(self, counts: NDArray[np.int64]) -> dict[str, Any]:
        """Return what the sum says, as JSON has it: counts of both rows, and an estimate of all answers."""
        plain, randomized = (row.tolist() for row in counts)
        estimate = self.response.estimate(counts[1])
        answers = int(counts[1].sum())
        error = max(self.response.deviation(answers), self.response.deviation(answers, answers))
        return {
            "as_given": plain,
            "randomized": randomized,
            "estimate": [round(float(each), 2) for each in counts[0] + estimate],
            "deviation": round(error, 2),
        }


def find_page() -> Path:
    """Return the directory of the page.

    Raises:
        ParameterError: there is none.
    """
    for place in (_PACKAGED, _SOURCE_TREE):
        if (place / _FILE).is_file():
            return place
    raise secagg.ParameterError("the survey's page is not installed; install secagg from its wheel or its repository")
