"""`rollbench verify FOLDER …`: checks every file of a report against its record, table.json, which has a checksum of its own.

rollbench verify out/table8
"""

from __future__ import annotations

import argparse
from pathlib import Path

from reports.writers.json_record import listed_files, verify
from rollbench.errors import UserError

HELP = "check every file of a report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="a report's folder, e.g. out/table8")


def run(options: argparse.Namespace) -> int:
    """Print the state of each report; returns 0. Raises UserError for a file that is missing or was changed."""
    problems = []
    for folder in map(Path, options.folders):
        problems += verify(folder)
        print(f"{folder}: {len(listed_files(folder)) + 1} files checked")
    if problems:
        raise UserError("; ".join(problems) + "; run the table's command again, which recomputes only what is missing")
    return 0
