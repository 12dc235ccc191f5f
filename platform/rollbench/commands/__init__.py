"""The subcommands of `rollbench`: each a module with HELP, `add_arguments(parser)` and `run(options) -> exit code`."""

from __future__ import annotations

from types import ModuleType

from rollbench.commands import compare, ingest, inspect, track

COMMANDS: dict[str, ModuleType] = {"ingest": ingest, "inspect": inspect, "compare": compare, "track": track}
