"""Run every `bench_*.py` beside this file, or those that are named, and print one table.

python -m benchmarks [train_step …] [--rounds 7] [--quick]
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from typing import TYPE_CHECKING, Protocol, cast

import benchmarks
from benchmarks._harness import QUICK, notes
from benchmarks._table import machine, table, versions

if TYPE_CHECKING:
    from benchmarks._harness import Row


class Benchmark(Protocol):
    """What a `bench_*.py` offers."""

    NAME: str

    def run(self, rounds: int) -> list[Row]:
        """Measure and return the rows."""


def main() -> int:
    """Run the benchmarks; the status is 1 when one of them could not run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure deltanb against its peers.")
    parser.add_argument("names", nargs="*", help=f"only these; there are: {', '.join(found())}")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds of each job (default 7)")
    parser.add_argument("--quick", action="store_true", help="one round on tiny models, only to see that everything runs")
    args = parser.parse_args()
    if args.quick:
        os.environ[QUICK] = "1"
        args.rounds = 1
    if args.rounds < 1:
        parser.error(f"--rounds must be 1 or more, not {args.rounds}")
    unknown = [name for name in args.names if name not in found()]
    if unknown:
        parser.error(f"no benchmark is called {unknown[0]!r}; there are: {', '.join(found())}")
    groups: list[tuple[str, list[Row]]] = []
    failures: list[str] = []
    for name in args.names or found():
        print(f"running {name} ...", file=sys.stderr, flush=True)
        try:
            module = cast("Benchmark", importlib.import_module(f"benchmarks.bench_{name}"))
            groups.append((module.NAME, module.run(args.rounds)))
        except Exception as error:  # noqa: BLE001 - one benchmark that fails must not take the others' results away
            failures.append(f"{name} did not run: {type(error).__name__}: {error}")
    print(f"machine: {machine()}\nversions: {versions()}\nmedian of {args.rounds} rounds; ratio below 1: faster than the peer\n")
    print("\n".join([table(groups), *notes, *failures]))
    return 1 if failures else 0


def found() -> list[str]:
    """The names of all benchmarks, sorted."""
    return sorted(info.name[6:] for info in pkgutil.iter_modules(benchmarks.__path__) if info.name.startswith("bench_"))


if __name__ == "__main__":
    sys.exit(main())
