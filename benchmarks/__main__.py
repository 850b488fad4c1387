"""Run every `bench_*.py` beside this file and print one table.

python -m benchmarks [--rounds 7] [--only addressing]
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from typing import TYPE_CHECKING, Protocol, cast

import benchmarks
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
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds of each job (default 7)")
    parser.add_argument("--only", default="", help="only the benchmarks whose file name contains this")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error(f"--rounds must be 1 or more, not {args.rounds}")
    names = [name for name in found() if args.only in name]
    if not names:
        parser.error(f"no benchmark is called {args.only!r}; there are: {', '.join(found())}")
    groups: list[tuple[str, list[Row]]] = []
    failures: list[str] = []
    for name in names:
        print(f"running {name} ...", file=sys.stderr, flush=True)
        try:
            module = cast("Benchmark", importlib.import_module(f"benchmarks.{name}"))
            groups.append((module.NAME, module.run(args.rounds)))
        except Exception as error:  # noqa: BLE001 - one benchmark that fails must not take the others' results away
            failures.append(f"{name} did not run: {type(error).__name__}: {error}")
    print(f"machine: {machine()}\nversions: {versions()}\nmedian of {args.rounds} rounds; ratio below 1: faster than the peer\n")
    print("\n".join([table(groups), *failures]))
    return 1 if failures else 0


def found() -> list[str]:
    """The module names of all benchmarks, sorted."""
    return sorted(info.name for info in pkgutil.iter_modules(benchmarks.__path__) if info.name.startswith("bench_"))


if __name__ == "__main__":
    sys.exit(main())
