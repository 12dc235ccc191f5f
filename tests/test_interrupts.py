"""A signal ends a command with its exit code, also when the orderly end hangs or the interrupt is swallowed."""

import signal
import subprocess
import sys
import time

import pytest

SCRIPT = """
import os, signal, sys, time
from rollbench import interrupts
from rollbench.cli.errors import run_guarded

def work():
    os.kill(os.getpid(), signal.{signal})
    {body}
    return 0

interrupts.LIMIT_S = 0.5
sys.exit(run_guarded(work))
"""
BODIES = {
    "in Python": "time.sleep(60)",
    "swallowed": "pass",
    "hangs": "\n    try:\n        time.sleep(60)\n    finally:\n        time.sleep(60)",
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_ends_the_command(body: str, name: str, code: int) -> None:
    script = SCRIPT.format(signal=name, body=BODIES[body])
    if body == "swallowed":
        script = script.replace("    os.kill", "    try: os.kill").replace(
            "\n    pass", "\n    except KeyboardInterrupt: pass"
        )
    start = time.monotonic()
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50)
    assert run.returncode == code, run.stderr
    assert run.stderr == "stopped; finished stages are kept, run the same command to resume\n"
    assert time.monotonic() - start < 30


def test_handlers_are_restored() -> None:
    from rollbench import interrupts

    before = signal.getsignal(signal.SIGTERM)
    with interrupts.handled() as stop:
        assert signal.getsignal(signal.SIGTERM) == stop.handle
    assert signal.getsignal(signal.SIGTERM) is before and stop.exit_code is None
