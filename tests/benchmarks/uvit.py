"""How much of the machine's matrix-product rate the U-ViT reaches, forward and backward, and where its time goes.

    python tests/benchmarks/uvit.py

The rate of the machine is the best of a plain matrix product and the same product as a 1x1 convolution (on some CPUs the
second library is the faster one). Operations are counted by torch's own counter: matrix products, convolutions and
attention; everything else is free of charge, so a share of 1 is out of reach. On a CPU the laptop's size is run and the
clock is this process's CPU time; on a GPU, Table 4's size in bf16, also compiled.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from rollbench.models import TABLE4, UViT


def best(work: Callable[[], object], device: torch.device, repeats: int = 15) -> float:
    """The shortest time of one call in seconds."""
    on_gpu = device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    times = []
    for _ in range(repeats + 3):
        start = clock()
        work()
        if on_gpu:
            torch.cuda.synchronize()
        times.append(clock() - start)
    return min(times[3:])


def machine_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of the fastest of a few matrix products."""
    rates = []
    for n in (8192,) if device.type == "cuda" else (256, 1024):
        a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
        image, kernel = a.view(n // 64, 8, 8, n).permute(0, 3, 1, 2), b[:, :, None, None]
        for product in (partial(torch.mm, a, b), partial(F.conv2d, image, kernel)):
            rates.append(2 * n**3 / best(product, device))
    return max(rates)


def costs(work: Callable[[], object], device: torch.device) -> list[tuple[str, float]]:
    """The three operations that take most time, with their shares."""
    on_gpu = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as record:
        for _ in range(5):
            work()
    times = {e.key: e.self_device_time_total if on_gpu else e.self_cpu_time_total for e in record.key_averages()}
    whole = sum(times.values())
    return [(name, t / whole) for name, t in sorted(times.items(), key=lambda item: -item[1])[:3]]


def measure(network: UViT, batch: int, frame: tuple[int, int, int], device: torch.device, dtype: torch.dtype) -> None:
    frames = network.clean + network.generated
    z, logsnr = torch.randn(batch, frames, *frame, device=device), torch.zeros(batch, frames, device=device)

    def forward() -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            return network(z, logsnr)

    def both() -> None:
        network.zero_grad()
        forward().square().mean().backward()

    rate = machine_rate(device, dtype)
    print(f"  machine: {rate / 1e9:.0f} GFLOP/s in {dtype}")
    for name, work in (("forward", torch.no_grad()(forward)), ("forward and backward", both)):
        with FlopCounterMode(display=False) as counter:
            work()
        operations, seconds = counter.get_total_flops(), best(work, device)
        print(
            f"  {name}: {seconds * 1e3:.1f} ms, {operations / 1e9:.2f} GFLOP, {operations / seconds / 1e9:.0f} GFLOP/s = "
            f"{operations / seconds / rate:.0%} of the machine"
        )
    print("  most time: " + ", ".join(f"{name} {share:.0%}" for name, share in costs(both, device)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(parser.parse_args().device)
    torch.set_num_threads(1)
    if device.type == "cpu":
        print("U-ViT at the laptop's size, window (2-4), batch 32, fp32, one core")
        network = UViT(TABLE4.capped((64, 64), (1, 1), 8), (2, 16, 16), 2, 4)
        measure(network, 32, (2, 16, 16), device, torch.float32)
        return
    for compiled in (False, True):
        print(f"U-ViT of Table 4, window (2-8), batch 16, bf16{', compiled' if compiled else ''}")
        with device:
            network = UViT(TABLE4, (2, 64, 64), 2, 8)
        if compiled:
            network.compile()
        measure(network, 16, (2, 64, 64), device, torch.bfloat16)


if __name__ == "__main__":
    main()
