"""Cryptographic secure aggregation: a server learns the sum of its clients' vectors and nothing else.

Start with :meth:`SessionParameters.choose` and :func:`simulate`; embed :class:`ClientSession` and
:class:`ServerSession` in your own transport. What is promised, and what not, stands in protocol_specs/.
"""

import sys
import typing

__version__ = "0.1.0"

if typing.TYPE_CHECKING:
    from secagg.public import *  # noqa: F403 - the names are one list, there

    __all__: list[str]
else:
    # All names come with the first that is used (PEP 562): every part of the library enters through this package, and
    # what says its version, or makes a key, must not wait for NumPy and protobuf.
    def __getattr__(name: str) -> object:
        if name == "__all__" or not name.startswith("_"):
            import secagg.public  # noqa: F401 - found in sys.modules, since its names are asked for while it is loaded

            found = vars(sys.modules["secagg.public"])
            if listed := found.get("__all__"):  # not yet there while it is loaded itself
                globals().update({each: found[each] for each in listed}, __all__=sorted([*listed, "__version__"]))
                if name in globals():
                    return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        __getattr__("__all__")
        return sorted(globals())
