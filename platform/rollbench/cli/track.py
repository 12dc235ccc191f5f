"""`rollbench track`: send MLflow what could not be sent while the work was done.

    rollbench track --storage s3://bucket/rollbench --tracking-uri http://127.0.0.1:5000

What waits lies in the storage's `outbox`, an entry a run. Whatever the server holds already is left as it is, so that the command may be
stopped and given again. Exit code 2 where the server is still away.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from rollbench.cli.options import add_out, add_storage, add_tracking_uri
from rollbench.errors import UserError
from rollbench.store.artifact import Store
from rollbench.tracking.outbox import Outbox

HELP = "send results to a tracking server that was away"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_storage(parser)
    add_out(parser, "where reports are")
    add_tracking_uri(parser)


def run(options: argparse.Namespace) -> int:
    """Send all that waits; 1 if some of it cannot be sent ever."""
    from rollbench.tracking.client import TrackingError, Unavailable, open_tracking, tracking_uri

    store = Store(options.storage)
    outbox, uri = Outbox(store), tracking_uri(options.tracking_uri, store, options.out)
    waiting = list(outbox.waiting())
    if not waiting:
        print(f"nothing waits in {outbox}")
        return 0
    sent: Counter[str] = Counter()
    faults = []
    try:
        tracking = open_tracking(uri)
        for record in waiting:
            if isinstance(record, str):
                faults.append(f"{record} cannot be read; make its table again, which computes nothing, and delete it")
            elif record.report and not (Path(options.out) / record.report).is_dir():
                faults.append(
                    f"{record.name}: there is no report {Path(options.out) / record.report} to send; say where with --out"
                )
            else:
                try:
                    tracking.send(record, Path(options.out))
                except Unavailable:
                    raise
                except TrackingError as error:
                    faults.append(f"{record.name}: MLflow at {tracking.place} does not take it ({error})")
                    continue
                outbox.drop(record)
                sent[record.tags.get("table", record.name)] += 1
    except Unavailable as error:
        raise UserError(f"{error}; {sent.total()} of {len(waiting)} runs sent, the others wait in {outbox}") from None
    for table, count in sorted(sent.items()):
        print(f"{table}: {count} {'run' if count == 1 else 'runs'} sent to {tracking.place}")
    for fault in faults:
        print(f"rollbench: {fault}", file=sys.stderr)
    return 1 if faults else 0
