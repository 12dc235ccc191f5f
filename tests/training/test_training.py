"""The training loop: equal to the loop one would write by hand, to itself after any interruption, and with any workers."""

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rollbench.datasets.windows import Windows
from rollbench.diffusion.denoiser import Denoiser
from rollbench.methods import Method, Regression, Rolling, Standard
from rollbench.models.precision import computing
from rollbench.models.uvit import UViT, UViTSize
from rollbench.training.loop import CheckpointPolicy, fit, load_final
from rollbench.training.run import NotFinite, Run, micro_seed
from rollbench.training.settings import Training
from tests.support.group import together

SIZE = UViTSize((8, 16), (1, 1), ("conv", "full"), (0.0, 0.2), head_dim=8, embedding=16, grid=4, periodic=True)
TRAINING = Training(steps=12, batch=8, micro_batch=4, learning_rate=3e-3, warmup=4)
NEVER = CheckpointPolicy(report=5, seconds=None)


def denoiser(seed: int = 0, size: UViTSize = SIZE, recompute: bool = False) -> Denoiser:
    torch.manual_seed(seed)
    return Denoiser(UViT(size, (1, 8, 8), 1, 2, recompute))


def waves(length: int = 3, seed: int = 0) -> Windows:
    """Random fields that move one cell to the right per frame: the future is known from the past."""
    fields = np.random.default_rng(7).normal(size=(6, 1, 8, 8)).astype(np.float32)
    return Windows([np.stack([np.roll(f, t, -1) for t in range(10)]) for f in fields], length, seed=seed)


def train(folder: Path, training: Training = TRAINING, method: Method | None = None, **words: Any) -> Path:
    words = {"seed": 3, "folder": folder, "device": "cpu", "keeping": NEVER, **words}
    return fit(denoiser(recompute=training.recompute), method or Rolling(1, 2), waves(), training, **words)


def same(one: Path, other: Path) -> bool:
    """Bit for bit: averaged weights and the history of losses."""
    (weights, facts), (weights2, facts2) = load_final(one), load_final(other)
    return (
        weights.keys() == weights2.keys()
        and all(torch.equal(weights[name], weights2[name]) for name in weights)
        and facts["history"] == facts2["history"]
    )


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("uninterrupted"))


def test_the_loop_equals_one_written_by_hand(tmp_path: Path) -> None:
    """Plain Adam, clipping by the global norm and the average, spelled out; a loss without randomness, no dropout."""
    size, training = replace(SIZE, dropout=(0.0, 0.0)), Training(steps=12, batch=8, grad_clip=0.05, learning_rate=3e-3)
    fitted = denoiser(size=size)
    final = fit(fitted, Regression(1, 2), waves(), training, seed=3, folder=tmp_path, keeping=NEVER)
    model, windows = denoiser(size=size), waves()
    names = [name for name, _ in model.named_parameters()]
    average = [p.detach().clone() for p in model.parameters()]
    m, v = ([torch.zeros_like(p) for p in model.parameters()] for _ in range(2))
    losses, clipped = [], 0
    for step in range(12):
        x = torch.from_numpy(windows.take(range(8 * step, 8 * step + 8)))
        loss = Regression(1, 2).loss(model, x, torch.Generator())
        grads = torch.autograd.grad(loss, list(model.parameters()))
        norm = math.sqrt(sum(g.square().sum().item() for g in grads))
        clipped += norm > 0.05
        rate = 3e-3 * 0.5 * (1 + math.cos(math.pi * step / 12))
        with torch.no_grad():
            for i, (p, g) in enumerate(zip(model.parameters(), grads, strict=True)):
                g = g * min(1.0, 0.05 / (norm + 1e-6))
                m[i] = 0.9 * m[i] + 0.1 * g
                v[i] = 0.99 * v[i] + 0.01 * g.square()
                p -= rate * (m[i] / (1 - 0.9 ** (step + 1))) / ((v[i] / (1 - 0.99 ** (step + 1))).sqrt() + 1e-8)
                average[i] = (1 - 10 / 12) * average[i] + 10 / 12 * p
        losses.append(loss.item())
    assert 0 < clipped
    weights, facts = load_final(final)
    for name, expected, p in zip(names, average, model.parameters(), strict=True):
        torch.testing.assert_close(weights[name], expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(fitted.get_parameter(name), p, rtol=1e-4, atol=1e-5)
    assert facts["history"][-1]["loss"] == pytest.approx(np.mean(losses[10:]), rel=1e-5)


def test_micro_batches_of_any_size_make_the_same_gradient(tmp_path: Path) -> None:
    size = replace(SIZE, dropout=(0.0, 0.0))
    results = []
    for unit in (8, 2):
        training = replace(TRAINING, steps=4, micro_batch=unit)
        model = denoiser(size=size)
        fit(model, Regression(1, 2), waves(), training, seed=0, folder=tmp_path / str(unit), keeping=NEVER)
        results.append(model.state_dict())
    for name, value in results[0].items():
        torch.testing.assert_close(results[1][name], value, rtol=1e-4, atol=1e-6)


def test_everything_random_is_owned_by_the_micro_batch() -> None:
    seeds = {
        micro_seed(s, i, j, p) for s in range(4) for i in range(50) for j in range(8) for p in ("noise", "dropout")
    }
    assert len(seeds) == 4 * 50 * 8 * 2 and all(0 <= seed < 2**63 for seed in seeds)
    run = Run(denoiser(), Rolling(1, 2), waves(), TRAINING, 3, torch.device("cpu"), 0, 1)
    before = torch.get_rng_state()
    losses = [[run._loss(j).item() for j in order] for order in ((0, 1), (1, 0))]
    assert losses[0] == losses[1][::-1] and losses[0][0] != losses[0][1]
    assert torch.equal(torch.get_rng_state(), before)  # nobody else's generator moved


def test_the_same_run_gives_the_same_bits_whatever_the_global_generator(tmp_path: Path, uninterrupted: Path) -> None:
    torch.manual_seed(99)
    assert same(train(tmp_path), uninterrupted)
    assert not same(train(tmp_path / "other", seed=4), uninterrupted)


def test_activations_computed_again_are_the_same_bits(tmp_path: Path, uninterrupted: Path) -> None:
    """Dropout and all; and they are not kept: the forward pass leaves fewer tensors for the backward one."""
    assert same(train(tmp_path, replace(TRAINING, recompute=True)), uninterrupted)
    kept = []
    for recompute in (False, True):
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: s.append(t.numel()) or t, lambda t: t):
            denoiser(recompute=recompute)(torch.randn(2, 3, 1, 8, 8), torch.zeros(2, 3))
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 2


def interrupted(folder: Path, after: int, keeping: CheckpointPolicy) -> None:
    def stop(path: Path | None, step: int) -> None:
        if step == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(folder, keeping=keeping, on_checkpoint=stop)


@pytest.mark.parametrize("after", [3, 9])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path: Path, uninterrupted: Path, after: int) -> None:
    keeping = replace(NEVER, steps=3)
    interrupted(tmp_path, after, keeping)  # a checkpoint in the middle of a report: its losses are kept as well
    steps: list[int] = []
    final = train(tmp_path, keeping=keeping, sink=lambda step, _: steps.append(step))
    assert steps == [step for step in (5, 10, 12) if step > after]
    assert same(final, uninterrupted)


def test_a_damaged_checkpoint_costs_steps_but_changes_nothing(tmp_path: Path, uninterrupted: Path) -> None:
    keeping = replace(NEVER, steps=3)
    interrupted(tmp_path, 9, keeping)
    tensors = tmp_path / "step-00000009" / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="step-00000009"):
        final = train(tmp_path, keeping=keeping)
    assert same(final, uninterrupted)


KILLED = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests.training.test_training import NEVER, train
from dataclasses import replace
train(Path(sys.argv[1]), keeping=replace(NEVER, steps=2), on_checkpoint=lambda path, step: print(step, flush=True))
"""


def test_a_run_killed_at_any_moment_goes_on_to_the_same_bits(tmp_path: Path, uninterrupted: Path, root: Path) -> None:
    paths = os.pathsep.join([str(root / "platform"), str(root)])
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) == 6:
                time.sleep(0.02)  # into the next step, or the next save
                child.send_signal(signal.SIGKILL)
                break
    assert child.returncode == -signal.SIGKILL
    assert not (tmp_path / "final").exists()
    first: list[int] = []
    final = train(tmp_path, sink=lambda step, _: first.append(step))
    assert min(first) > 5
    assert same(final, uninterrupted)


def test_checkpoints_of_another_run_are_not_taken_up(tmp_path: Path) -> None:
    interrupted(tmp_path, 3, replace(NEVER, steps=3))
    with pytest.raises(ValueError, match="another seed; choose another folder"):
        train(tmp_path, seed=8)
    with pytest.raises(ValueError, match="another training"):
        train(tmp_path, replace(TRAINING, learning_rate=1e-3))


def test_checkpoints_come_by_the_clock_too(tmp_path: Path) -> None:
    saved: list[int] = []
    train(
        tmp_path, keeping=CheckpointPolicy(report=5, seconds=0.0), on_checkpoint=lambda path, step: saved.append(step)
    )
    assert saved == [5, 10]  # at reports; the end of the run is its own record


def share_steps(folder: Path, words: dict[str, int]) -> None:
    train(folder / "two", **words)
    train(folder / "three", replace(TRAINING, batch=12), **words)
    own = folder / "resumed" / str(words["rank"])
    try:
        train(own, keeping=replace(NEVER, steps=4), on_checkpoint=stop, **words)
    except KeyboardInterrupt:
        train(own, **words)  # on rank 1 the folder is empty: rank 0 tells the state


def stop(path: Path | None, step: int) -> None:
    raise KeyboardInterrupt


def test_two_workers_equal_one(tmp_path: Path, uninterrupted: Path) -> None:
    """With two micro-batches bit for bit; with more, sums are taken in another order: 1e-5 of the weights' size."""
    together(share_steps, tmp_path, 2)
    assert same(tmp_path / "two" / "final", uninterrupted)
    assert same(tmp_path / "resumed" / "0" / "final", uninterrupted)
    one, two = (
        load_final(path)[0]
        for path in (train(tmp_path / "alone", replace(TRAINING, batch=12)), tmp_path / "three" / "final")
    )
    difference = max((one[name] - two[name]).abs().max().item() for name in one)
    assert difference < 1e-5


def test_a_worker_without_a_micro_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 workers: .* choose micro_batch 2"):
        train(tmp_path, rank=0, world=3)


class Spoiled(Regression):
    """A loss that is not a number from its fifth call on."""

    calls = 0

    def loss(self, denoiser: Denoiser, x: Tensor, generator: torch.Generator) -> Tensor:
        type(self).calls += 1
        return super().loss(denoiser, x, generator) * (math.nan if self.calls >= 5 else 1.0)


def test_a_loss_that_is_no_number_stops_the_run_by_name_and_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(NotFinite, match="step 2: loss nan"):  # two micro-batches a step
        train(tmp_path, method=Spoiled(1, 2), keeping=CheckpointPolicy(report=12, steps=4))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", [Regression(1, 2), Standard(1, 2), Rolling(1, 2, init="clip")])
def test_a_network_learns_what_can_be_known(tmp_path: Path, method: Method) -> None:
    """Fields of unit variance that move one cell a frame: knowing nothing costs 1, and a denoiser must get far below."""
    losses: list[float] = []
    training = Training(steps=300, batch=32, learning_rate=1e-2, warmup=10)
    size = replace(SIZE, channels=(16, 16), dropout=(0.0, 0.0), head_dim=16)
    fit(
        denoiser(size=size),
        method,
        waves(),
        training,
        seed=0,
        folder=tmp_path,
        sink=lambda step, metrics: losses.append(metrics["loss"]),
        keeping=CheckpointPolicy(report=30),
    )
    assert losses[-1] < 0.25 * losses[0], losses


def test_reports_tell_loss_gradient_rate_and_speed(tmp_path: Path) -> None:
    reports: list[tuple[int, dict[str, float]]] = []
    train(tmp_path, sink=lambda step, metrics: reports.append((step, metrics)))
    assert [step for step, _ in reports] == [5, 10, 12]
    for step, metrics in reports:
        assert set(metrics) == {"loss", "grad_norm", "learning_rate", "samples_per_second"}
        assert metrics["learning_rate"] == TRAINING.rate(step - 1) and min(metrics.values()) > 0


def test_the_final_folder_says_what_it_is_and_fits_the_denoiser(uninterrupted: Path) -> None:
    weights, facts = load_final(uninterrupted)
    model = denoiser(seed=1)
    model.load_state_dict(weights)
    assert facts["run"]["training"]["steps"] == 12 and facts["step"] == 12 and facts["next_sample"] == 96
    assert facts["parameter_count"] == sum(p.numel() for p in model.parameters())
    assert facts["ema_decay"] == pytest.approx(1 - 10 / 12)


def test_bf16_trains_to_nearly_the_same_loss(tmp_path: Path, uninterrupted: Path) -> None:
    short = load_final(train(tmp_path, replace(TRAINING, precision="bf16")))[1]["history"]
    exact = load_final(uninterrupted)[1]["history"]
    assert [r["loss"] for r in short] == pytest.approx([r["loss"] for r in exact], rel=0.02)
    assert short != exact


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gpu_trains_to_nearly_the_same_loss(tmp_path: Path, uninterrupted: Path, precision: Any) -> None:
    """Noise differs between devices, so the losses agree in size only."""
    there = load_final(train(tmp_path, replace(TRAINING, precision=precision), device="cuda"))[1]["history"]
    exact = load_final(uninterrupted)[1]["history"]
    assert [r["loss"] for r in there] == pytest.approx([r["loss"] for r in exact], rel=0.3)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_products_are_computed_in_the_precision_asked_for(precision: Any, dtype: torch.dtype) -> None:
    a = torch.ones(4, 4)
    with computing(precision, a.device):
        assert (a @ a).dtype == dtype
    assert (a @ a).dtype == torch.float32
