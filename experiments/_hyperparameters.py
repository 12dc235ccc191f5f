"""The settings of Tables 4 to 7 as our code uses them, under the paper's names: read off the very values that a run is made from."""

from __future__ import annotations

from typing import Any

from rollbench.config.table import Setting
from rollbench.models.ema import ema_decay

SAMPLERS = {
    "ancestral": "ancestral, posterior variance",
    "between": "ancestral, variance between posterior and forward",
    "ddim": "DDIM",
    "multistep": "DPM-Solver++(2M)",
}
OPTIMISERS = {"adam": "Adam", "muon": "Muon and Adam"}
KINDS = {"conv": "Conv2D", "axial": "Transformer (axial)", "full": "Transformer"}


def network_and_training(setting: Setting) -> dict[str, object]:
    """Tables 4 to 6."""
    size, training, method = setting.network, setting.training, setting.rows[-1].method
    *outer, middle = size.blocks
    return {
        "Blocks": "[" + ", ".join([*(f"{n}+{n}" for n in outer), str(middle)]) + "]",
        "Channels": size.channels,
        "Block Type": tuple(KINDS[kind] for kind in size.kinds),
        "Head Dim": size.head_dim,
        "Dropout": size.dropout[0] if len(set(size.dropout)) == 1 else tuple(_short(rate) for rate in size.dropout),
        "Downsample": (1, 2, 2),
        "Model parametrization": method.parametrisation,
        "Loss": f"{method.weighting}-loss",
        "Number of Steps": training.steps,
        "EMA decay": ema_decay(training.steps) if training.ema is None else training.ema,
        "learning rate": training.learning_rate,
        "batch": training.batch,
        "optimiser": f"{OPTIMISERS[training.optimiser]} {training.betas}, gradients clipped at norm {training.grad_clip:g}",
        "warm-up, decay": f"{training.warmup:,} steps, {training.decay}",
        "noise schedule": "cosine in log-SNR within ±15, no shift",
        "sampler": SAMPLERS[setting.sampling.sampler]
        + (", clipped to pixels" if setting.sampling.clip else ", no clipping"),
        "calls per frame": setting.sampling.calls_per_frame,
        "context enters as": size.context,
        "border of convolutions": "periodic" if size.periodic else "zeros",
    }


def simulation(setting: Setting) -> dict[str, object]:
    """Table 7."""
    data = setting.data
    frames = data.frames * data.frame_interval / data.max_dt
    return {
        "Size": data.grid,
        "Viscosity": _range(data.viscosity),
        "Density": "U[2^-1, 2^1]" if data.density == (0.5, 2.0) else _range(data.density),
        "Maximum Velocity": data.max_velocity,
        "CFL Safety Factor": data.cfl,
        "Max dt": data.max_dt,
        "Outer Steps": round(frames),
        "Grid": f"{data.grid}x{data.grid}, [0,2pi]x[0,2pi]",
        "Initial Velocity": f"Filtered velocity field, peak wavenumber {data.peak_wavenumber:g}",
        "Forcing": f"Simple turbulence, magnitude={data.forcing:g}, linear coefficient={data.linear_coefficient:g}, "
        f"wavenumber={data.wavenumber}",
        "Total Simulations": data.trajectories,
        "Frames": f"{data.frame_grid}x{data.frame_grid}, means over the faces of cells, every {data.frame_interval:g} s",
        "solver": f"pseudo-spectral, {data.steps_per_frame} steps a frame of {data.dt:.3g} s, {data.precision}",
    }


def _range(bounds: tuple[float, float]) -> str:
    return "U[" + ", ".join(_power(x) for x in bounds) + "]"


def _power(x: float) -> str:
    mantissa, exponent = f"{x:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _short(rate: float) -> Any:
    return int(rate) if rate == int(rate) else rate
