"""One case of one benchmark in this process: `python -m benchmarks._case bench_train_step minilm/lora/PEFT` prints its numbers."""

from __future__ import annotations

import importlib
import json
import sys

if __name__ == "__main__":
    module, case = sys.argv[1:]
    print(json.dumps(importlib.import_module(f"benchmarks.{module}").measure(case)))
