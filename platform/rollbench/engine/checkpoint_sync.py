"""Where a Ray Train worker keeps its checkpoints while it trains, whatever the storage is.

On a disk that all workers share it is the stage's own folder. On an object store it is a folder of this machine, made for this worker and
emptied after it: what the stage has is fetched into it first, and each checkpoint is sent as it is written. Its checksums travel last, so
a checkpoint that was cut off on its way is known as damaged, and the one before it, which is deleted later, is used. What a killed
worker could not delete of such a folder, the next one on its machine does.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyarrow import fs as pafs

from rollbench.store.artifact import Artifact
from rollbench.store.tempfiles import orphans, owned_name
from rollbench.training.checkpoint import FINAL, SUMS, sweep

STEPS, PREFIX = "step-", "rollbench-"


@dataclass(frozen=True)
class Scratch:
    """path: the folder that the loop reads and writes."""

    artifact: Artifact
    path: Path

    @property
    def shared(self) -> bool:
        return self.artifact.store.local

    def send(self, checkpoint: Path | None, step: int) -> None:
        """Bring a checkpoint to storage, and let go there of those that the loop has let go of."""
        if self.shared or checkpoint is None:
            return
        filesystem = self.artifact.store.filesystem
        for file in sorted(checkpoint.iterdir(), key=lambda file: file.name == SUMS):
            target = f"{self.artifact.path}/{checkpoint.name}/{file.name}"
            with self.artifact.store.wrap_errors("write", target, file.stat().st_size):
                pafs.copy_files(str(file), target, pafs.LocalFileSystem(), filesystem)
        for name in set(self._sent()) - {folder.name for folder in self.path.glob(f"{STEPS}*")}:
            self._drop(name)

    def clear(self) -> None:
        """Delete all checkpoints: the weights are published."""
        for folder in (*self.path.glob(f"{STEPS}*"), self.path / FINAL):
            shutil.rmtree(folder, ignore_errors=True)
        sweep(self.path)
        if not self.shared:
            for name in self._sent():
                self._drop(name)

    def fetch(self) -> None:
        """Bring the checkpoints of an earlier run to this machine."""
        for name in self._sent():
            source = f"{self.artifact.path}/{name}"
            with self.artifact.store.wrap_errors("read", source):
                (self.path / name).mkdir()
                pafs.copy_files(source, str(self.path / name), self.artifact.store.filesystem, pafs.LocalFileSystem())

    def _sent(self) -> list[str]:
        selector = pafs.FileSelector(self.artifact.path, allow_not_found=True)
        with self.artifact.store.wrap_errors("list", self.artifact.path):
            found = self.artifact.store.filesystem.get_file_info(selector)
        return sorted(i.base_name for i in found if i.type == pafs.FileType.Directory and i.base_name.startswith(STEPS))

    def _drop(self, name: str) -> None:
        with (
            self.artifact.store.wrap_errors("delete", f"{self.artifact.path}/{name}"),
            contextlib.suppress(FileNotFoundError),
        ):
            self.artifact.store.filesystem.delete_dir(f"{self.artifact.path}/{name}")


def newest(artifact: Artifact) -> int:
    """The step of the newest checkpoint that a stage holds, 0 where it holds none."""
    return max((int(name.removeprefix(STEPS)) for name in Scratch(artifact, Path())._sent()), default=0)


@contextlib.contextmanager
def scratch(artifact: Artifact, rank: int) -> Iterator[Scratch]:
    """The folder of one worker. The first one's holds what an earlier run left; the others resume from what the first tells them."""
    if artifact.store.local:
        path = Path(artifact.path)
        path.mkdir(parents=True, exist_ok=True)
        yield Scratch(artifact, path)
        return
    for left in orphans(Path(tempfile.gettempdir()), PREFIX):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=owned_name(PREFIX)) as folder:
        made = Scratch(artifact, Path(folder))
        if rank == 0:
            made.fetch()
        yield made
