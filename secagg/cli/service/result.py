"""`secagg result`: fetches the sum of a completed session into a file, and lets the server forget it.

Where a session ended because of clients and others followed it, the sum is that of the last one. The server is told
only once the file is complete, on the disk and can be read. Must not know what the arrays mean.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import secagg
from secagg.cli.output import JsonFlag, print_json, print_sentences
from secagg.cli.service.connecting import operated

if TYPE_CHECKING:
    from secagg.hosting import ReleasedSum
    from secagg.transport.grpc import Operator


@operated("result")
def result(
    operator: Operator,
    session: Annotated[str, typer.Option(metavar="NAME", help="The session.")],
    out: Annotated[Path, typer.Option(metavar="FILE.npz", help="New file for the sum: its vectors and @contributors.")],
    keep: Annotated[bool, typer.Option("--keep", help="Leave the result on the server too.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Fetch the sum of a completed session, or of the one that follows it without clients that made it end, and release
    it on the server once it is safe here."""
    if out.exists():
        raise secagg.ParameterError(f"{out} exists already and is not overwritten; give another path")
    if not out.parent.is_dir():
        raise secagg.ParameterError(f"--out {out} is in no existing directory; make it, or give another path")
    last, released = asyncio.run(_fetch(operator, session, out, keep))
    if as_json:
        print_json(
            {
                "session": last,
                "out": str(out),
                "vectors": {
                    name: {"shape": list(array.shape), "dtype": array.dtype.name}
                    for name, array in released.vectors.items()
                },
                "contributors": list(released.contributors),
                "total_weight": released.total_weight,
                "impossible": dict(released.impossible),
                "kept": keep,
            }
        )
        return
    weight = "" if released.total_weight is None else f", total weight {released.total_weight}"
    names = ", ".join(released.vectors)
    if last != session:
        print_sentences(f"Session {session} ended because of clients; this is the sum of {last}, which follows it.")
    print_sentences(f"{out}: {names} of {len(released.contributors)} contributors{weight}.")
    for name, count in released.impossible.items():
        print_sentences(f"{count} fields of {name} hold more than honest inputs add up to: a client lied.")


async def _fetch(operator: Operator, session: str, out: Path, keep: bool) -> tuple[str, ReleasedSum]:
    """The name of the session that has the sum, and the sum."""
    from secagg.hosting import read_result

    async with operator:
        last = (await operator.last_session(session)).name
        await operator.save_result(last, out)
        released = await asyncio.to_thread(read_result, out)
        if not keep:
            await operator.acknowledge(last)
        return last, released
