"""Without DecLearn nothing here is collected but the test that says so."""

from __future__ import annotations

import importlib.util

collect_ignore = [] if importlib.util.find_spec("declearn") is not None else ["test_rounds.py"]
