"""The store on object storage: a real S3 API over HTTP, whole and failing one request in so many."""

import copy
import os
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollbench.errors import UserError
from rollbench.store.artifact import MANIFEST, Artifact, Damaged, Store
from rollbench.store.filesystem import StorageError, ignore_missing
from rollbench.store.redact import redact
from rollbench.store.tensors import tensor_column, tensor_of
from tests.faults.storage import FAULTS, flaky, uri

SEED = 5  # under which each way of failing comes up


@pytest.fixture
def artifact(server: str, tmp_path: Path) -> Artifact:
    return Store(uri(server, f"bucket/{tmp_path.name}")).artifact("data", "0123abcd")


def overwrite(artifact: Artifact, name: str, data: bytes) -> None:
    with artifact.store.filesystem.open_output_stream(f"{artifact.path}/{name}") as out:
        out.write(data)


def test_a_stage_is_written_published_and_read(artifact: Artifact) -> None:
    artifact.store.check_writable()
    assert not artifact.exists() and artifact.manifest() is None and artifact.receipts() == {}
    frames = np.random.default_rng(0).normal(size=(3, 4, 2, 8, 8)).astype(np.float32)
    table = pa.table({"clip_id": ["a", "b", "c"], "frames": tensor_column(frames)})
    receipts = [artifact.write_table(f"part-{i}.arrow", table) for i in range(2)]
    assert (
        artifact.exists()
        and set(artifact.receipts()) == {"part-0.arrow", "part-1.arrow"}
        and artifact.manifest() is None
    )
    manifest = artifact.commit(receipts, title="x")
    assert artifact.manifest() == manifest and artifact.store.keys("data") == [artifact.key]
    assert all(np.array_equal(tensor_of(t, "frames"), frames) for t in artifact.tables())


def test_its_digest_is_that_of_a_local_stage(artifact: Artifact, tmp_path: Path) -> None:
    local = Store(str(tmp_path)).artifact("data", "k")
    digests = {s.commit([s.write("a.bin", b"abc")])["digest"] for s in (artifact, local)}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda artifact: artifact.delete("a.bin"), "is missing"),
        (lambda artifact: overwrite(artifact, "a.bin", b"ab"), "has 2 bytes where the manifest says 3"),
        (lambda artifact: overwrite(artifact, "a.bin", b"abd"), "another sha256"),
    ],
)
def test_damage_is_named_and_only_the_damaged_file_is_dropped(artifact: Artifact, harm, words: str) -> None:  # type: ignore[no-untyped-def]
    receipts = [artifact.write("a.bin", b"abc"), artifact.write("b.bin", b"abc")]
    artifact.commit(receipts)
    assert artifact.damage() == {}
    harm(artifact)
    damage = artifact.damage()
    assert set(damage) == {"a.bin"} and words in damage["a.bin"] and f"{artifact.path}/a.bin" in damage["a.bin"]
    with pytest.raises(Damaged, match="a.bin"):
        artifact.read(receipts[0])
    artifact.invalidate(damage)
    assert artifact.manifest() is None and set(artifact.receipts()) == {"b.bin"}
    artifact.remove()
    assert not artifact.exists() and artifact.receipts() == {}


def test_a_storage_that_fails_one_request_in_twenty_gives_the_same_bytes(server: str, tmp_path: Path) -> None:
    files = {f"{i:02d}.bin": np.random.default_rng(i).bytes(6_000_000 if i == 3 else 1_000) for i in range(16)}
    with flaky(server, one_in=20, seed=SEED) as proxy:
        artifact = Store(uri(proxy.at, f"bucket/{tmp_path.name}")).artifact("data", "k")
        artifact.store.check_writable()
        manifest = artifact.commit([artifact.write(name, data) for name, data in files.items()])
        assert artifact.manifest() == manifest and artifact.damage() == {} and set(artifact.receipts()) == set(files)
        assert {r["name"]: artifact.read(r).to_pybytes() for r in manifest["files"]} == files
    assert set(proxy.failed) == set(FAULTS), f"of {proxy.requests} requests failed {proxy.failed}: not all was tried"


def test_a_file_that_is_deleted_while_it_is_read_is_none() -> None:
    """The words are the AWS client's own, when the answer to its question for the bytes is that there are none."""
    for error in (
        FileNotFoundError(),
        OSError("AWS Error NO_SUCH_KEY during GetObject operation: The specified key does not exist."),
    ):
        with ignore_missing():
            raise error
    with pytest.raises(OSError, match="ACCESS_DENIED"), ignore_missing():
        raise OSError("AWS Error ACCESS_DENIED during GetObject operation: no")


def test_what_a_second_try_cannot_mend_is_told_at_once(server: str) -> None:
    start = time.monotonic()
    with pytest.raises(UserError, match="'s3://.*cannot be written .*NO_SUCH_BUCKET.*--storage"):
        Store(uri(server, "nowhere/store")).check_writable()
    with flaky(server, one_in=1, faults=("forbidden",)) as proxy:
        store = Store(uri(proxy.at))
        with pytest.raises(UserError, match="cannot be written .*ACCESS_DENIED"):
            store.check_writable()
        with pytest.raises(StorageError, match=r"cannot write bucket/store/data/k/a.bin \(3 bytes\): .*ACCESS_DENIED"):
            store.artifact("data", "k").write("a.bin", b"abc")
        with pytest.raises(StorageError, match="cannot read bucket/store/data/k/manifest.json: .*ACCESS_DENIED"):
            store.artifact("data", "k").manifest()
        assert proxy.requests == 3
    assert time.monotonic() - start < 10  # not the minute of patience


def test_a_storage_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match="cannot be written .*NETWORK_CONNECTION"):
        Store(uri("http://127.0.0.1:1")).check_writable()


def test_a_copy_of_a_store_is_as_patient_as_the_store(server: str) -> None:
    store = Store(uri(server))
    assert store.filesystem is not None
    copied = copy.copy(store)  # as Ray sends it to a worker
    assert copied == store and "_opened" not in vars(copied)


def test_the_environment_may_name_server_and_credentials(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"ENDPOINT_URL": server, "ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "REGION": "us-east-1"}
    for name, value in words.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    artifact = Store("s3://bucket/by-environment").artifact("data", "k")
    artifact.commit([artifact.write("a.bin", b"abc")])
    assert Store(uri(server, "bucket/by-environment")).artifact("data", "k").manifest() == artifact.manifest()


SECRETS = "AKIDEXAMPLE", "wJalrXUtnFEMI"


def test_credentials_in_the_uri_reach_nothing_that_people_read(server: str, tmp_path: Path) -> None:
    store = Store(uri(server, "bucket/secret", credentials=":".join(SECRETS)))
    artifact = store.artifact("data", "k")
    artifact.commit([artifact.write("a.bin", b"abc")], made={"command": redact(f"table --storage {store.root}")})
    (tmp_path / "manifest").write_bytes(artifact.get(MANIFEST) or b"")
    errors = []
    for bad in (
        uri(server, "nowhere/store", credentials=":".join(SECRETS)),
        uri("http://127.0.0.1:1", credentials=":".join(SECRETS)),
        f"s3://{':'.join(SECRETS)}@bucket/path?nonsense=1",
        f"s3://{SECRETS[0]}:{SECRETS[1]} @bucket/path",
        f"s3://{SECRETS[0]}:a?b#{SECRETS[1]}@bucket/path",
        f"abfs://{SECRETS[0]}@account/path?client_secret={SECRETS[1]}&nonsense=1",
    ):
        with pytest.raises(UserError) as error:
            Store(bad).check_writable()
        errors.append(str(error.value))
    text = "\n".join(
        [str(store), repr(store), repr(artifact), str(artifact), *errors, (tmp_path / "manifest").read_text()]
    )
    assert text.count("s3://***@") >= 5 and not any(secret in text for secret in SECRETS), text
    assert "bucket/secret" in str(store) and os.sep in artifact.path


@pytest.mark.parametrize(
    "plain",
    [
        "s3://bucket/a@b/c",
        "gs://bucket/path?x=1",
        "http://127.0.0.1:5000",
        "http://127.0.0.1:5000/a@b",
        "a:b@c",
        "store/a b",
        "http://one:5000 and a@b",
    ],
)
def test_what_holds_no_secret_is_shown_as_it_is(plain: str) -> None:
    assert redact(plain) == plain


@pytest.mark.parametrize("password", ["p@ssw0rd", "pa#ss", "pa?ss", "a/b/c@d", "12345", "@@@@", "p?key=#@x"])
def test_passwords_as_people_type_them_are_left_out(password: str) -> None:
    shown = redact(f"--storage http://user:{password}@mlflow.lab:5000/path x@y")
    assert shown == "--storage http://***@mlflow.lab:5000/path x@y"


# As a password may be typed into a command: anything but white space and, since that begins the path, a slash.
TYPED = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="/\x7f\x85\xa0"), max_size=24)


@given(user=TYPED, password=TYPED, rest=st.sampled_from(["", "/bucket/a?region=x", " --scale smoke", "/p@q"]))
@example(user="user", password="p@ssw0rd", rest="")
@example(user="", password="pa#ss", rest="/p@q")
def test_no_piece_of_a_secret_survives(user: str, password: str, rest: str) -> None:
    place = f"mlflow.lab:5000{rest}"
    shown = redact(f"at http://{user}:{password}@{place}")
    public = f"at http://***@{place}"
    pieces = {text[i : i + 3] for text in (user, password) for i in range(len(text) - 2)}
    assert not [piece for piece in pieces if piece in shown and piece not in public], shown
