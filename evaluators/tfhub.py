"""FVD's features from the published TensorFlow-Hub module itself: the second opinion on `i3d`.

Needs the extra [tfhub]. The module is named by a folder or a handle; its variables are compared with the same table of
checksums as our own weights, so the two back ends differ by rounding alone. Resizing is TensorFlow's.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from evaluators import weights
from evaluators.base import Resize, UserError, as_clips, optional
from evaluators.i3d import DIMENSION, FRAMES
from evaluators.resize import SIZE

HANDLE = "https://tfhub.dev/deepmind/i3d-kinetics-400/1"
VARIABLE = "ROLLBENCH_TFHUB"


class TFHubFeatures:
    """As `I3DFeatures`, computed by the TensorFlow graph, one clip at a time."""

    def __init__(self, how: Resize = "original", handle: str | None = None) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        self._tf = optional("tensorflow", "the TensorFlow-Hub back end", "'rollbench[tfhub]'")
        hub = optional("tensorflow_hub", "the TensorFlow-Hub back end", "'rollbench[tfhub]'")
        where = handle or os.environ.get(VARIABLE) or HANDLE
        try:
            self._module = hub.load(where, tags=[])  # kept: the graph's variables vanish with it
        except Exception as error:  # whatever TensorFlow raises for a bad path, no network, a torn file
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UserError(
                f"the TensorFlow-Hub module {where} cannot be loaded ({reason}): give a folder by {VARIABLE}"
            ) from None
        self._graph = self._module.signatures["default"]
        weights.check({_name(v.name): _ours(v.numpy()) for v in self._module.variables}, where)
        self.how: Resize = how
        self.identity = weights.IDENTITY

    def features(self, clips: Any) -> np.ndarray:
        """[n, 400] float32 of clips [n, t, y, x, 3], t >= 9, uint8 or float in [0, 1]."""
        frames = as_clips(clips)
        if frames.shape[1] < FRAMES:
            raise UserError(
                f"clips of {frames.shape[1]} frames: I3D halves time three times and needs at least {FRAMES}"
            )
        found = [self._one(clip) for clip in frames]
        return np.concatenate(found) if found else np.empty((0, DIMENSION), np.float32)

    def _one(self, clip: np.ndarray) -> np.ndarray:
        tf = self._tf
        shown = clip if clip.dtype == np.uint8 else 255 * clip
        pixels = tf.compat.v1.image.resize_bilinear(
            tf.cast(shown, tf.float32), [SIZE, SIZE], align_corners=False, half_pixel_centers=self.how == "halfpixel"
        )
        logits: np.ndarray = self._graph(2 * pixels[None] / 255 - 1)["default"].numpy()
        return logits


def _name(variable: str) -> str:
    """RGB/inception_i3d/Mixed_3b/Branch_0/Conv3d_0a_1x1/batch_norm/beta:0 -> Mixed_3b.Branch_0.Conv3d_0a_1x1.beta"""
    *unit, _, part = variable.removesuffix(":0").split("/")[2:]
    ours = {"w": "weight", "b": "bias", "moving_mean": "mean", "moving_variance": "var"}.get(part, part)
    # One convolution of one block bears a slip of the pen in the published graph.
    return ".".join((*unit, ours)).replace("Mixed_5b.Branch_2.Conv3d_0a_3x3", "Mixed_5b.Branch_2.Conv3d_0b_3x3")


def _ours(array: np.ndarray) -> np.ndarray:
    """Kernels [t, y, x, in, out] -> [out, in, t, y, x], the rest flat."""
    kernel = array.ndim == 5 and array.shape[3] > 1
    return np.ascontiguousarray(array.transpose(4, 3, 0, 1, 2)) if kernel else array.reshape(-1)
