"""Forecast the contexts of a table with NumPy alone: each frame moves away from the last one by a shrinking part of their difference.

rollbench contexts table8 --scale laptop --out contexts/
python experiments/examples/enter_samples.py contexts/contexts.npz mine/samples.npz
rollbench enter table8 --scale laptop --samples mine/ --name "Damped trend"
"""

import sys
from pathlib import Path

import numpy as np

source, target = map(Path, sys.argv[1:])
given = np.load(source)
frames = given["frames"]  # [clips, time, channel, y, x]
last, trend = frames[:, -1:], frames[:, -1:] - frames[:, -2:-1]
leads = np.arange(1, given["horizon"] + 1)[:, None, None, None]
samples = last + trend * (1 - 0.5**leads)  # [clips, horizon, channel, y, x]
target.parent.mkdir(parents=True, exist_ok=True)
np.savez(target, key=given["key"], ids=given["ids"], samples=samples)
