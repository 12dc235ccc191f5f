"""FID of single frames through pytorch-fid's Inception network, beside FVD: looks without motion.

pytorch-fid is also the independent check of our Frechet distance in the tests.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np
import torch

from evaluators import weights
from evaluators.base import UserError, as_clips, torch_device
from evaluators.features import Features
from evaluators.videos import Clip

VERSION = "fid@1"
URL = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
VARIABLE = "ROLLBENCH_INCEPTION"
DIMENSION = 2048
LANE = 16


class InceptionFeatures:
    """[n, 2048] of frames [n, y, x, 3], uint8 or float in [0, 1]; pytorch-fid resizes to 299 x 299 itself."""

    identity = f"inception-2015-12-05:{SHA256[:12]}"

    def __init__(self, path: str | None = None, device: str | None = None) -> None:
        self.device: torch.device = torch_device(device)
        state = weights.torch_state(weights.published(URL, SHA256, path, VARIABLE, "leave --fid out"), SHA256)
        module: Any = pytorch_fid("inception")
        original = module.load_state_dict_from_url
        module.load_state_dict_from_url = lambda *_, **__: state  # what we have checked, and no download of its own
        try:
            self.network = module.InceptionV3([module.InceptionV3.BLOCK_INDEX_BY_DIM[DIMENSION]]).eval().to(self.device)
        finally:
            module.load_state_dict_from_url = original

    @torch.inference_mode()
    def features(self, frames: Any) -> np.ndarray:
        """Lanes of fixed size, the last padded, so that a frame's vector does not depend on its neighbours."""
        pixels = as_clips(np.asarray(frames)[None])[0]
        found = np.empty((len(pixels), DIMENSION), np.float32)
        for i in range(0, len(pixels), LANE):
            part = pixels[i : i + LANE]
            lane = np.concatenate([part, np.repeat(part[:1], LANE - len(part), axis=0)])
            x = torch.from_numpy(lane).to(self.device).permute(0, 3, 1, 2).to(torch.float32)
            out = self.network(x if pixels.dtype != np.uint8 else x / 255)[0]
            found[i : i + LANE] = out[: len(part), :, 0, 0].cpu().numpy()
        return found


def frame_features(extractor: InceptionFeatures, clips: Iterable[Clip]) -> Features:
    """The features of every frame; a frame is a sample of its clip, so that intervals resample clips."""
    vectors: list[np.ndarray] = []
    ids: list[str] = []
    samples: list[int] = []
    for clip in clips:
        vectors.append(extractor.features(clip.frames))
        ids += [clip.id] * len(clip.frames)
        samples += [clip.sample * len(clip.frames) + t for t in range(len(clip.frames))]
    if not ids:
        raise UserError("no clip could be read")
    bad = tuple(getattr(clips, "bad", ()))
    return Features(np.concatenate(vectors), tuple(ids), tuple(samples), extractor.identity, "inception", 1, bad)


def pytorch_fid(name: str) -> ModuleType:
    """The module `pytorch_fid.<name>`.

    It imports torchvision. One built for CUDA beside a torch without CUDA cannot load its compiled operators and fails with
    "operator torchvision::nms does not exist". Declaring the two names, with no body, is then enough: nobody calls them here.
    Not before it failed: where the operators do load, a second declaration aborts the process.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        _declare()
        for half_made in [module for module in sys.modules if module.split(".")[0] == "torchvision"]:
            del sys.modules[half_made]
    return importlib.import_module(f"pytorch_fid.{name}")


_libraries: list[torch.library.Library] = []  # a library's operators vanish with it


def _declare() -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _libraries.append(library)
