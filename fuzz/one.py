"""`python -m fuzz.one TARGET [libFuzzer arguments]`: one target under atheris, until libFuzzer stops.

The library is instrumented while it is imported. Warnings are errors, as in the tests.
"""

from __future__ import annotations

import sys
import warnings

import atheris

with atheris.instrument_imports(include=["secagg"]):
    from fuzz.inputs import corpus
    from fuzz.registry import TARGETS


def main(arguments: list[str]) -> None:
    """Fuzz; does not return."""
    target = arguments[1] if len(arguments) > 1 else ""
    corpus(target)  # a target without seeds fails here
    warnings.simplefilter("error")
    atheris.Setup([arguments[0], *arguments[2:]], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
