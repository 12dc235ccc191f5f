"""Lets a table be run as a file where the project is not installed, as in a job on a cluster: finds its rooms beside this folder.

    if __name__ == "__main__":
        import _path  # noqa: F401

at the top of a file of this folder. What lies beside the file goes before what may be installed: a job runs the code it brought.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]
