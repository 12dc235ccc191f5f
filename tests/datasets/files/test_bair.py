"""BAIR's records: what an independent writer wrote comes back exactly; damage is named with file and byte."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rollbench.datasets.files.bair import BAIR
from rollbench.datasets.files.base import Clip, SkippedItem
from rollbench.datasets.files.tfrecord import BadRecord, bytes_features, masked, offsets, record
from rollbench.errors import UserError


# --- an independent writer: a bitwise CRC and the protocol buffer by hand ------------------------------------------------------
def crc32c(data: bytes) -> int:
    """Bit by bit: the polynomial 0x1EDC6F41, reflected."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def varint(n: int) -> bytes:
    return bytes([n & 0x7F | 0x80]) + varint(n >> 7) if n > 0x7F else bytes([n])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def feature(*values: bytes | float) -> bytes:
    if isinstance(values[0], bytes):
        return field(1, b"".join(field(1, v) for v in values if isinstance(v, bytes)))
    return field(2, field(1, struct.pack(f"<{len(values)}f", *values)))


def example(features: dict[str, bytes]) -> bytes:
    return field(1, b"".join(field(1, field(1, name.encode()) + field(2, f)) for name, f in features.items()))


def softmotion(frames: dict[str, np.ndarray]) -> bytes:
    """A trajectory in the published layout. frames: camera -> uint8 [30, 64, 64, 3]."""
    out: dict[str, bytes] = {}
    for i in range(30):
        out |= {f"{i}/{camera}/encoded": feature(each[i].tobytes()) for camera, each in frames.items()}
        out |= {f"{i}/action": feature(0.1, 0.2, 0.3, 0.4), f"{i}/endeffector_pos": feature(0.5, 0.6, 0.7)}
    return example(out)


def tfds(frames: dict[str, np.ndarray]) -> bytes:
    """A trajectory as TensorFlow Datasets writes a sequence of images."""
    return example(
        {camera: feature(*map(png, each)) for camera, each in frames.items()} | {"action": feature(0.0, 1.0)}
    )


def png(image: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "png")
    return out.getvalue()


def write(path: Path, examples: list[bytes]) -> list[int]:
    """A record file, and where its records begin."""
    path.parent.mkdir(parents=True, exist_ok=True)
    starts, out = [], b""
    for data in examples:
        starts.append(len(out))
        length = struct.pack("<Q", len(data))
        # The data's CRC is the library's, which `test_the_checksum…` proves: bit by bit a megabyte takes seconds.
        out += length + struct.pack("<I", masked(length)) + data + struct.pack("<I", masked(data))
    path.write_bytes(out)
    return starts


def trajectories(count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [
        {camera: rng.integers(0, 256, (30, 64, 64, 3), np.uint8) for camera in ("image_main", "image_aux1")}
        for _ in range(count)
    ]


def clips(value: BAIR, root: Path) -> list[np.ndarray]:
    found = list(value.read(root, value.listed(root).items))
    assert all(isinstance(f, Clip) for f in found), found
    return [f.frames for f in found if isinstance(f, Clip)]


# --- the checks ----------------------------------------------------------------------------------------------------------------
def test_the_checksum_is_crc32c_and_masked() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of the polynomial
    for data in (b"", b"a", bytes(range(256)), np.random.default_rng(0).bytes(5000)):
        crc = crc32c(data)
        assert masked(data) == ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32


def test_the_published_layout_comes_back_exactly(tmp_path: Path) -> None:
    truth = trajectories(3)
    write(tmp_path / "train" / "traj_10000_to_10001.tfrecords", [softmotion(t) for t in truth[1:]])
    write(tmp_path / "train" / "traj_512_to_512.tfrecords", [softmotion(truth[0])])
    write(tmp_path / "test" / "traj_0_to_0.tfrecords", [softmotion(truth[2])])
    assert np.array_equal(clips(BAIR(), tmp_path), [t["image_aux1"] for t in truth])
    assert np.array_equal(clips(BAIR(camera="image_main", frames=16), tmp_path), [t["image_main"][:16] for t in truth])
    assert np.array_equal(clips(BAIR(split="test"), tmp_path), [truth[2]["image_aux1"]])
    ids = [f.id for f in BAIR().read(tmp_path, BAIR().listed(tmp_path).items) if isinstance(f, Clip)]
    assert ids[2] == "train/traj_10000_to_10001.tfrecords#0001"


def test_the_layout_of_tensorflow_datasets_comes_back_exactly(tmp_path: Path) -> None:
    truth = trajectories(2)
    for n, trajectory in enumerate(truth):
        write(tmp_path / "2.0.0" / f"bair_robot_pushing_small-test.tfrecord-0000{n}-of-00002", [tfds(trajectory)])
    assert np.array_equal(clips(BAIR(split="test"), tmp_path), [t["image_aux1"] for t in truth])
    (tmp_path / "2.0.0" / "bair_robot_pushing_small-test.tfrecord-00000-of-00002").unlink()
    (lacking,) = BAIR(split="test").listed(tmp_path).missing
    assert lacking == SkippedItem("shard 00000", "one of 2 and not there", fatal=True)


def test_a_flipped_byte_is_named_and_costs_its_record_alone(tmp_path: Path) -> None:
    path = tmp_path / "test" / "traj_0_to_2.tfrecords"
    starts = write(path, [softmotion(t) for t in trajectories(3)])
    data = bytearray(path.read_bytes())
    data[starts[1] + 5000] ^= 1
    path.write_bytes(data)
    value = BAIR(split="test")
    first, bad, last = value.read(tmp_path, value.listed(tmp_path).items)
    words = f"the record at byte {starts[1]} has another CRC than is stated"
    assert bad == SkippedItem("test/traj_0_to_2.tfrecords", words, fatal=True)
    assert isinstance(first, Clip) and isinstance(last, Clip)


def test_a_flipped_byte_in_a_length_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x"
    starts = write(path, [b"a" * 100, b"b" * 100])
    data = bytearray(path.read_bytes())
    data[starts[1]] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadRecord, match=f"length of the record at byte {starts[1]} has another CRC"):
        list(offsets(path))


@pytest.mark.parametrize(
    ("left", "words"), [(78, "has 66 of 104 bytes"), (12, "has 0 of 104"), (5, "within its header")]
)
def test_a_torn_tail_is_named_and_the_records_before_it_stay(tmp_path: Path, left: int, words: str) -> None:
    path = tmp_path / "test" / "traj_0_to_1.tfrecords"
    _, second = write(path, [b"a" * 100, b"b" * 100])
    path.write_bytes(path.read_bytes()[: second + left])
    source = BAIR(split="test").listed(tmp_path)
    (bad,) = source.missing
    assert [item.at for item in source.items] == [(0, 0)]
    assert bad.source == "test/traj_0_to_1.tfrecords" and f"torn: the record at byte {second}" in bad.reason
    assert bad.fatal and words in bad.reason


def test_records_of_something_else_are_named(tmp_path: Path) -> None:
    write(tmp_path / "test" / "traj_0_to_0.tfrecords", [example({"speech": feature(b"x")}), b"\xff" * 20])
    value = BAIR(split="test")
    first, second = value.read(tmp_path, value.listed(tmp_path).items)
    assert isinstance(first, SkippedItem) and "no frame '0/image_aux1/encoded'" in first.reason
    assert isinstance(second, SkippedItem) and "no protocol buffer" in second.reason


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no record files of the split 'test'"):
        BAIR(split="test").listed(tmp_path)
    write(tmp_path / "train" / "traj_0_to_0.tfrecords", [b""])
    with pytest.raises(UserError, match="there are some in .*'train'"):
        BAIR(split="test").listed(tmp_path)
    with pytest.raises(UserError, match="is no folder"):
        BAIR().listed(tmp_path / "absent")


def test_fields_have_rules() -> None:
    with pytest.raises(UserError, match="camera 'image_aux2' is unknown; did you mean"):
        BAIR(camera="image_aux2")
    with pytest.raises(UserError, match="frames = 31 exceeds a trajectory"):
        BAIR(frames=31)


@pytest.mark.slow
def test_tensorflow_writes_what_we_read(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow", reason="an independent writer of record files: pip install -e '.[tfhub]'")
    (truth,) = trajectories(1)
    features = {}
    for i in range(30):
        pixels = tf.train.BytesList(value=[truth["image_aux1"][i].tobytes()])
        features[f"{i}/image_aux1/encoded"] = tf.train.Feature(bytes_list=pixels)
        features[f"{i}/action"] = tf.train.Feature(float_list=tf.train.FloatList(value=[0.0] * 4))
    (tmp_path / "test").mkdir()
    path = tmp_path / "test" / "traj_0_to_0.tfrecords"
    context = tf.train.Features(feature=features)
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(tf.train.Example(features=context).SerializeToString())
        writer.write(tf.train.SequenceExample(context=context).SerializeToString())
    assert np.array_equal(clips(BAIR(split="test"), tmp_path), [truth["image_aux1"]] * 2)
    with path.open("rb") as file:
        assert len(bytes_features(record(file, 0))) == 30
