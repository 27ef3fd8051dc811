"""Settings of every test: hypothesis draws the same examples in every run.

`ci` is the default. `pytest --hypothesis-profile=dev` looks for new examples and remembers the failing ones; `quick` is
what `make quick` takes.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile("dev", derandomize=False, deadline=None, max_examples=500)
settings.register_profile("quick", settings.get_profile("ci"), max_examples=10)
settings.load_profile("ci")
