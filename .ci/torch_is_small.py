"""Exit 0 if a pip report (`pip install --dry-run --report FILE torch`) names no CUDA packages, else 1."""

import json
import sys
from pathlib import Path

report = json.loads(Path(sys.argv[1]).read_text())
names = sorted(package["metadata"]["name"].lower() for package in report["install"])
large = [name for name in names if name.startswith(("nvidia", "cuda", "triton", "pytorch-triton"))]
if large:
    print(f"PyTorch would bring {', '.join(large)}: the parity tests skip")
    sys.exit(1)
