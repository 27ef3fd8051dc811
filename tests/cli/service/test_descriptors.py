"""Each client of a cohort holds a connection: a limit of open files below that is said when the server starts."""

from __future__ import annotations

import resource

import pytest

from secagg.cli.service.serving import few_descriptors


@pytest.mark.parametrize(
    ("soft", "clients", "enough"),
    [
        (1024, 896, True),
        (1024, 897, False),
        (1024, 100_000, False),
        (128, 0, True),
        (resource.RLIM_INFINITY, 100_000, True),
    ],
)
def test_the_limit_of_open_files_is_held_against_the_largest_cohort(
    monkeypatch: pytest.MonkeyPatch, soft: int, clients: int, enough: bool
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, soft))
    said = few_descriptors(clients)
    if enough:
        assert said == ""
    else:
        assert f"may open {soft} files, and a cohort of {clients} clients takes {clients + 128}" in said
        assert f"ulimit -n {clients + 128}" in said
