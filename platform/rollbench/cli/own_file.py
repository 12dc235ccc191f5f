"""An experiment in a user's own file: read it, run it by its path, and write a first one.

    rollbench new mytable.py --from table8           write a starter
    rollbench reproduce mytable.py --scale smoke     run it; `python mytable.py --scale smoke` does the same

The file is code that the user names: it runs with the user's rights.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType

from rollbench.config.search import Search
from rollbench.config.table import Figure, Table
from rollbench.errors import UserError, did_you_mean

HELP = "write an experiment file of your own, from one of this project"
TABLES = ("table1", "table2", "table3", "table8", "table9", "table10", "efficiency", "robustness", "sweep_cond_gen")
NAMES = ("TABLE", "FIGURE", "SEARCH")  # the variable that holds an experiment
HEADER = '''"""An experiment of your own, from experiments/{origin}.py.

    python {file} --scale smoke
    rollbench reproduce {file} --scale laptop

Change the rows, the network or the data below. A class that is defined in this file (a method, a network, a data set) is a part of the
table like those of Rollbench; its source is part of the key of every result.
"""
'''


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE.py", help="the file to write")
    parser.add_argument("--from", dest="origin", default="table8", metavar="TABLE", help="a table (default: table8)")


def run(options: argparse.Namespace) -> int:
    """Write the starter. Raises UserError for a file that exists, or a name that is not that of a module."""
    target = Path(options.file)
    if target.suffix != ".py" or not target.stem.isidentifier():
        raise UserError(f"{options.file!r} is not the name of a Python module; choose one such as mytable.py")
    if target.exists():
        raise UserError(f"{options.file!r} exists; choose another name")
    target.write_text(starter(options.origin, target.name))
    print(f"{target} is written; run it with: python {target} --scale smoke")
    return 0


def starter(origin: str, file: str) -> str:
    """The text of a file with the table of experiments/ORIGIN.py under a name of its own."""
    module = importlib.import_module(f"experiments.{origin}") if origin in TABLES else None
    if module is None:
        raise UserError(f"--from {origin!r} is not a table with rows; {did_you_mean(origin, TABLES)}")
    text = inspect.getsource(module)
    text = re.sub(r'\A""".*?"""\n', HEADER.format(origin=origin, file=file), text, flags=re.S)
    text = re.sub(r'if __name__ == "__main__":\n    import _path.*\n\n', "", text)
    return re.sub(rf'name="{origin}",\n    published="[^"]*",', f'name="{Path(file).stem}",\n    published="",', text)


def load(name: str, verbose: bool = False) -> tuple[ModuleType, Table | Figure | Search]:
    """The module in a file and its experiment. Raises UserError for a file that cannot be imported or holds none."""
    path = Path(name)
    if not path.is_file():
        raise UserError(f"{name!r} is not a file; `rollbench new {name}` writes a first one")
    known = sys.modules.get(path.stem)
    if known is not None and Path(getattr(known, "__file__", None) or "").resolve() != path.resolve():
        raise UserError(f"{name!r} has the name of the module {path.stem!r}, which is in use; rename the file")
    module = known or _imported(path, verbose)
    for variable in NAMES:
        if isinstance(experiment := getattr(module, variable, None), (Table, Figure, Search)):
            return module, experiment
    raise UserError(f"{name!r} has no experiment: assign a Table to TABLE, a Figure to FIGURE or a Search to SEARCH")


def _imported(path: Path, verbose: bool) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if spec is None or spec.loader is None:
        raise UserError(f"{str(path)!r} is not a Python file; its name ends with .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.resolve().parent))  # modules beside it
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[path.stem]
        if verbose:
            traceback.print_exc()
        shown = f"{type(error).__name__}: {error}"
        raise UserError(f"{str(path)!r} cannot be imported ({shown}); --verbose prints where") from None
    return module
