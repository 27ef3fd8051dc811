"""The command line in this process."""

from __future__ import annotations

from tests.command import run as run
