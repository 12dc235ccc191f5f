"""The error of every sampler over network calls, exact: no network, no Monte Carlo.

    python tests/benchmarks/sampler_law.py [--horizon 24]

An AR(1) process (φ = 0.9) with its exact denoiser; the law of 24 frames after one frame of context is propagated through each plan
(`diffusion.exact`). Printed is KL(samples ‖ truth) per frame, in nats, at equal network calls per frame.
"""

from __future__ import annotations

import argparse

from rollbench import Rolling, Standard
from rollbench.diffusion.exact import Autoregression, divergence, rollout_law
from rollbench.diffusion.step import SAMPLERS

CALLS = (1, 2, 4, 8, 16, 32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--horizon", type=int, default=24)
    horizon = parser.parse_args().horizon
    process = Autoregression.scalar(0.9)
    truth, context = process.forecast_law(1, horizon), process.covariance(1)
    print("calls per frame".ljust(24), *(f"{calls:>9}" for calls in CALLS))
    for method in (Rolling(1, 4), Standard(1, 4)):
        for name in SAMPLERS:
            laws = (rollout_law(process, method, horizon, calls, name) for calls in CALLS)
            errors = (divergence(law, truth, context) / horizon for law in laws)
            print(f"{type(method).__name__} {method.label} {name}".ljust(24), *(f"{error:9.5f}" for error in errors))


if __name__ == "__main__":
    main()
