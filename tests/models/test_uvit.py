"""The U-ViT: its published sizes, what each part may see and what it must not, and that its options change no number."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rollbench.models.layers import Attention, Conv, Film, Pointwise, from_patches, shifted, to_patches
from rollbench.models.uvit import TABLE4, TABLE5, TABLE6, UViT, UViTSize

LAPTOP = TABLE4.capped((64, 64), (1, 1), 8)
SMALL = UViTSize((8, 16, 24), (1, 2, 1), ("conv", "axial", "full"), (0.0, 0.0, 0.0), 8, embedding=12, grid=8)
FRAME = (2, 16, 16)


def scrambled(size: UViTSize = SMALL, clean: int = 2, generated: int = 3, frame: tuple[int, int, int] = FRAME) -> UViT:
    """A network in which no weight is zero any more."""
    network = UViT(size, frame, clean, generated).eval()
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(torch.randn(p.shape) * 0.2)
    return network


def window(network: UViT, batch: int = 2, frame: tuple[int, int, int] = FRAME) -> tuple[Tensor, Tensor]:
    frames = network.clean + network.generated
    logsnr = torch.randn(batch, frames) * 3
    logsnr[:, : network.clean] = 15
    return torch.randn(batch, frames, *frame), logsnr


@pytest.mark.parametrize(
    ("size", "frame", "clean", "generated", "reference", "tolerance"),
    [
        (TABLE4, (2, 64, 64), 2, 8, 197e6, 0.03),
        (TABLE5, (3, 64, 64), 1, 15, 728e6, 0.06),
        (TABLE6, (3, 64, 64), 5, 11, 2.6e9, 0.10),
    ],
)
def test_the_published_sizes_have_about_the_parameters_of_another_build(
    size: UViTSize, frame: tuple[int, int, int], clean: int, generated: int, reference: float, tolerance: float
) -> None:
    with torch.device("meta"):
        count = UViT(size, frame, clean, generated).parameter_count()
    assert count == pytest.approx(reference, rel=tolerance)


def test_the_laptop_size_is_the_paper_size_under_caps() -> None:
    assert LAPTOP.channels == (64, 64) and LAPTOP.blocks == (1, 1) and LAPTOP.kinds == ("conv", "full")
    assert LAPTOP.dropout == (0.0, 0.1) and LAPTOP.grid == 8 and LAPTOP.periodic
    network = UViT(LAPTOP, FRAME, 2, 4)
    assert network.patch == 2
    assert network.parameter_count() == pytest.approx(0.33e6, rel=0.03)


def test_caps_beyond_the_size_change_nothing_and_caps_commute() -> None:
    assert TABLE6.capped((), (), 2**62) == TABLE6
    three, two = ((256,) * 3, (2,) * 3, 32), ((64, 64), (1, 1), 16)
    assert TABLE4.capped(*three).capped(*two) == TABLE4.capped(*two).capped(*three) == TABLE4.capped(*two)
    assert TABLE4.capped((10**9,) * 3, (), 64).kinds == ("conv", "conv", "full")


def test_each_level_has_a_cap_of_its_own() -> None:
    size = TABLE6.capped((32, 64, 128), (1, 1, 2), 16)
    assert (size.channels, size.blocks, size.embedding) == ((32, 64, 128), (1, 1, 2), 128)
    assert TABLE6.capped((32, 64, 5000), (1, 9, 9), 16).blocks == (1, 4, 8), "the middle level keeps its own"


@pytest.mark.parametrize("context", ["channels", "frames"])
@pytest.mark.parametrize("clean", [0, 2])
def test_a_new_network_predicts_zero_and_a_used_one_has_the_shape_of_its_input(context: str, clean: int) -> None:
    size = replace(SMALL, context=context)
    z, logsnr = window(UViT(size, FRAME, clean, 3))
    assert torch.equal(UViT(size, FRAME, clean, 3)(z, logsnr), torch.zeros_like(z))
    out = scrambled(size, clean)(z, logsnr)
    assert out.shape == z.shape and out[:, clean:].abs().min() > 0


def test_frames_need_not_be_square() -> None:
    frame = (1, 16, 32)
    network = scrambled(frame=frame)
    z, logsnr = window(network, frame=frame)
    assert network(z, logsnr).shape == z.shape


def test_patches_take_each_pixel_to_its_own_place() -> None:
    frames = torch.arange(4 * 6 * 2.0).reshape(1, 1, 4, 6, 2)
    patches = to_patches(frames, 2)
    assert patches.shape == (1, 1, 2, 3, 8)
    assert torch.equal(patches[0, 0, 1, 2], frames[0, 0, 2:4, 4:6].flatten())
    assert torch.equal(from_patches(patches, 2), frames)


def test_the_clean_frames_inform_every_generated_frame_but_are_not_predicted_as_channels() -> None:
    network = scrambled(replace(SMALL, kinds=("conv",) * 3))
    z, logsnr = window(network)
    other = z.clone()
    other[:, 0] += 1
    change = (network(other, logsnr) - network(z, logsnr)).flatten(2).abs().amax(-1)
    assert (change[:, :2] == 0).all() and (change[:, 2:] > 1e-4).all()


def test_each_frame_is_told_its_own_noise() -> None:
    network = scrambled(replace(SMALL, kinds=("conv",) * 3))  # without attention no frame hears of another's
    z, logsnr = window(network)
    other = logsnr.clone()
    other[:, 3] += 1
    change = (network(z, other) - network(z, logsnr)).flatten(2).abs().amax(-1)
    assert (change[:, [0, 1, 2, 4]] == 0).all() and (change[:, 3] > 1e-4).all()


def test_the_temporal_shift_moves_two_quarters_of_the_channels_by_one_frame() -> None:
    h = torch.randn(2, 4, 3, 3, 8)
    moved, zero = shifted(h), torch.zeros(2, 3, 3, 2)
    for w in range(4):
        assert torch.equal(moved[:, w, ..., :2], h[:, w - 1, ..., :2] if w else zero)
        assert torch.equal(moved[:, w, ..., 2:4], h[:, w + 1, ..., 2:4] if w < 3 else zero)
    assert torch.equal(moved[..., 4:], h[..., 4:])


def test_with_the_shift_convolutions_hear_of_neighbours_in_time_alone() -> None:
    """Two convolutional blocks a level and one level: each block reaches one frame further."""
    size = replace(SMALL, channels=(8,), blocks=(1,), kinds=("conv",), dropout=(0.0,), shift=True)
    network = scrambled(size, 0, 5)
    z, logsnr = window(network)
    other = z.clone()
    other[:, 2] += 1
    change = (network(other, logsnr) - network(z, logsnr)).flatten(2).abs().amax(-1)
    assert (change[:, [0, 4]] == 0).all() and (change[:, 1:4] > 1e-5).all()


def test_every_generated_frame_hears_of_every_other_through_attention() -> None:
    network = scrambled()
    z, logsnr = window(network, batch=1)
    for frame in range(2, 5):
        other = z.clone()
        other[:, frame] += 1
        assert ((network(other, logsnr) - network(z, logsnr))[:, 2:].flatten(2).abs().amax(-1) > 1e-4).all()


def test_a_window_is_not_a_set_and_a_frame_is_not_either() -> None:
    size = replace(SMALL, kinds=("full",) * 3)  # attention alone cannot tell places apart: the positions do
    network = scrambled(size, clean=0)
    z, _ = window(network, batch=1)
    logsnr = torch.zeros(1, 3)
    out = network(z, logsnr)
    assert (network(z.flip(1), logsnr).flip(1) - out).abs().max() > 1e-3
    for axis in (-1, -2):  # by whole patches of the middle level
        assert (network(z.roll(8, axis), logsnr).roll(-8, axis) - out).abs().max() > 1e-3


@pytest.mark.parametrize("axes", [(1,), (2,), (3,), (1, 2, 3)])
def test_attention_is_softmax_of_normalised_queries_and_keys_along_its_axes(axes: tuple[int, ...]) -> None:
    layer = Attention(12, 4, axes)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.randn(p.shape))
    h = torch.randn(2, 3, 4, 5, 12)
    q, k, v = F.linear(h, layer.qkv.weight, layer.qkv.bias).unflatten(-1, (3, 3, 4)).unbind(-3)
    q = q / q.square().mean(-1, keepdim=True).sqrt() * layer.query_gain
    k = k / k.square().mean(-1, keepdim=True).sqrt() * layer.key_gain
    place = torch.stack(torch.meshgrid(*(torch.arange(n) for n in h.shape[:4]), indexing="ij"), -1).reshape(-1, 4)
    together = [axis for axis in range(4) if axis not in axes]
    allowed = (place[:, None, together] == place[None, :, together]).all(-1)
    q, k, v = (a.reshape(-1, 3, 4).transpose(0, 1) for a in (q, k, v))
    weights = (q @ k.mT / 2).masked_fill(~allowed, -torch.inf).softmax(-1)
    expected = F.linear((weights @ v).transpose(0, 1).reshape(h.shape), layer.out.weight, layer.out.bias)
    torch.testing.assert_close(layer(h), expected, rtol=1e-4, atol=1e-5)


def test_queries_and_keys_are_bounded_however_large_the_activations() -> None:
    layer = Attention(8, 8, (1,))
    nn.init.normal_(layer.out.weight)
    h = torch.randn(1, 4, 1, 1, 8)
    with torch.no_grad():
        layer.qkv.bias.zero_()
        layer.qkv.weight[:16] *= 1e4
        large = layer(h)
        layer.qkv.weight[:16] /= 1e4
    torch.testing.assert_close(layer(h), large, rtol=1e-3, atol=1e-4)


def test_film_scales_and_shifts_the_normalised_frame() -> None:
    film = Film(6, 3)
    h, embedding = torch.randn(2, 3, 4, 4, 6), torch.randn(2, 3, 3)
    scale, shift = film.affine(embedding)[:, :, None, None].chunk(2, -1)
    centred = h - h.mean(-1, keepdim=True)
    normalised = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(film(h, embedding), normalised * (1 + scale) + shift)


def test_a_pointwise_layer_is_a_linear_layer() -> None:
    layer, h = Pointwise(6, 5), torch.randn(2, 3, 4, 4, 6)
    torch.testing.assert_close(layer(h), F.linear(h, layer.weight, layer.bias))


@pytest.mark.parametrize("periodic", [True, False])
def test_only_a_periodic_convolution_commutes_with_a_shift(periodic: bool) -> None:
    conv, h = Conv(6, periodic), torch.randn(2, 3, 8, 8, 6)
    error = (conv(h.roll((3, 5), (2, 3))).roll((-3, -5), (2, 3)) - conv(h)).abs().max()
    assert error < 1e-5 if periodic else error > 0.1
    interior = F.conv2d(h[0].permute(0, 3, 1, 2), conv.conv.weight, conv.conv.bias).permute(0, 2, 3, 1)
    torch.testing.assert_close(conv(h)[0, :, 1:-1, 1:-1], interior)


def test_a_periodic_network_without_positions_commutes_with_shifts_of_its_coarsest_cell() -> None:
    network = scrambled(replace(SMALL, periodic=True))
    for name, p in network.named_parameters():
        if "position" in name:
            nn.init.zeros_(p)
    z, logsnr = window(network)
    shifted = network(z.roll((8, 8), (-2, -1)), logsnr).roll((-8, -8), (-2, -1))
    torch.testing.assert_close(shifted, network(z, logsnr), rtol=1e-4, atol=1e-4)


def gradients(network: UViT, z: Tensor, logsnr: Tensor) -> list[Tensor]:
    torch.manual_seed(3)  # of the dropout masks
    network.zero_grad()
    network(z, logsnr).square().mean().backward()
    return [p.grad.clone() for p in network.parameters() if p.grad is not None]


def test_recomputing_activations_changes_neither_dropout_nor_gradients() -> None:
    size = replace(SMALL, dropout=(0.3, 0.3, 0.3))
    network = scrambled(size).train()
    recomputing = UViT(size, FRAME, 2, 3, recompute=True).train()
    recomputing.load_state_dict(network.state_dict())
    z, logsnr = window(network)
    pairs = list(zip(gradients(network, z, logsnr), gradients(recomputing, z, logsnr), strict=True))
    assert len(pairs) == len(list(network.parameters()))
    for one, other in pairs:
        assert torch.equal(one, other)


def test_dropout_follows_the_seed_and_is_off_in_evaluation() -> None:
    network = scrambled(replace(SMALL, dropout=(0.0, 0.0, 0.5))).train()
    z, logsnr = window(network)

    def seeded(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return network(z, logsnr)

    assert torch.equal(seeded(0), seeded(0)) and not torch.equal(seeded(0), seeded(1))
    network.eval()
    assert torch.equal(seeded(0), seeded(1))


def test_bf16_autocast_stays_near_fp32_and_returns_the_input_type() -> None:
    network = scrambled()
    z, logsnr = window(network)
    exact = network(z, logsnr)
    with torch.autocast("cpu", torch.bfloat16):
        short = network(z, logsnr)
    assert short.dtype == torch.float32
    error = (short - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    assert 0 < error < 0.05


@pytest.mark.slow
def test_a_compiled_network_gives_the_same_numbers() -> None:
    network = scrambled(UViTSize((8, 16), (1, 1), ("conv", "full"), (0.0, 0.0), 8, embedding=12, grid=8))
    z, logsnr = window(network)
    exact = network(z, logsnr)
    network.compile()
    torch.testing.assert_close(network(z, logsnr), exact, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": (8, 16)}, "one entry per level"),
        ({"kinds": ("conv", "conv", "window")}, "'window'"),
        ({"context": "tokens"}, "choose 'channels'"),
        ({"channels": (8, 16, 20)}, "width 20: .* choose 16"),
        ({"blocks": (1, 0, 1)}, "at least 1"),
        ({"dropout": (0.0, 0.0, 1.0)}, "dropout 1.0"),
        ({"grid": 6}, "grid 6: .* choose 8"),
    ],
)
def test_an_impossible_size_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)


@pytest.mark.parametrize(
    ("frame", "clean", "generated", "message"),
    [
        ((2, 12, 12), 2, 3, "frame 12x12"),
        ((2, 4, 4), 2, 3, "frame 4x4"),
        ((2, 16, 20), 2, 3, "frame 16x20"),
        (FRAME, -1, 3, "window -1-3"),
        (FRAME, 2, 0, "window 2-0"),
    ],
)
def test_frames_and_windows_that_do_not_fit_are_refused(
    frame: tuple[int, int, int], clean: int, generated: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        UViT(SMALL, frame, clean, generated)
