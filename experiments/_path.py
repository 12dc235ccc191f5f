"""Lets a table be run as a file where the project is not installed, as in a job on a cluster: finds its rooms beside this folder.

    if __name__ == "__main__":
        import _path  # noqa: F401

at the top of a file of this folder. What lies beside the file goes before what may be installed: a job runs the code it brought.
A Python without the dependencies, such as the system's own, is refused here in one line.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("mlflow", "numpy", "pyarrow", "ray", "scipy", "torch")

missing = [name for name in NEEDED if find_spec(name) is None]
if sys.version_info < (3, 11) or missing:
    what = f"has no {', '.join(missing)}" if missing else "is older than 3.11"
    print(f"rollbench: {sys.executable} {what}; run `make setup`, then `. .venv/bin/activate`", file=sys.stderr)
    sys.exit(2)

sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]
