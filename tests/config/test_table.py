"""Keys: equal work has an equal address, changed work another, and nothing without an exact JSON form gets one."""

import json
import re
from dataclasses import dataclass, replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.table8 import SETTING, TABLE
from rollbench.config.canonical import canonical, key
from rollbench.config.overrides import with_field
from rollbench.config.sampling import Degradation
from rollbench.errors import UserError, did_you_mean

plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@dataclass(frozen=True)
class One:
    x: int = 1


@dataclass(frozen=True)
class Other:
    x: int = 1


@given(plain_values)
def test_canonical_json_is_a_fixed_point(value: object) -> None:
    text = canonical(value)
    assert canonical(json.loads(text)) == text


def test_the_order_of_a_dict_does_not_matter_and_its_values_do() -> None:
    assert key({"a": 1, "b": 2}) == key({"b": 2, "a": 1}) != key({"a": 2, "b": 1})


def test_a_class_is_part_of_the_key() -> None:
    assert key(One()) != key(Other())
    assert json.loads(canonical(Degradation(noise=0.5)))["is"] == "Degradation"
    foreign = json.loads(canonical(One()))  # not a class of this project: with its module and source
    assert foreign == {"is": "tests.config.test_table:One", "source": foreign["source"], "x": 1}
    assert re.fullmatch("[0-9a-f]{16}", foreign["source"])


def test_an_integer_and_a_float_are_different_inputs() -> None:
    assert key({"x": 1}) != key({"x": 1.0})


def test_fractions_are_exact() -> None:
    assert canonical(Fraction(100, 11)) == '"100/11"'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_have_no_key(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        key(value)


def test_objects_without_a_form_have_no_key() -> None:
    with pytest.raises(TypeError, match="set has no canonical JSON form"):
        key({1, 2})


def test_keys_are_stable_over_versions_of_the_code() -> None:
    # A change here orphans everybody's finished stages: it must be meant, and stand in CHANGELOG.md.
    assert key({"stage": "data", "version": 1}) == "05ef74b455456cd3ddcb"


def test_every_field_of_a_table_moves_its_key() -> None:
    assert key(TABLE) != key(replace(TABLE, resamples=TABLE.resamples + 1))
    assert key(SETTING) != key(with_field(SETTING, "data.viscosity", "[0.0005, 0.004]"))


def test_nearest_names_the_closest_choice_first() -> None:
    assert did_you_mean("laptob", ["smoke", "laptop"]).startswith("did you mean 'laptop'?")


def test_with_field_reads_a_value_of_the_present_kind() -> None:
    assert with_field(SETTING, "training.steps", "500").training.steps == 500
    assert with_field(SETTING, "data.cfl", "1").data.cfl == 1.0


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("training.stepz", "5", "did you mean 'training.steps'"),
        ("training.steps", "many", "cannot be read"),
        ("training.steps", "1.5", "another kind"),
        ("data.viscosity", "[-1.0, 1.0]", "viscosity"),
        ("sampling.horizon", "4000", "horizon"),
        ("name.x", "1", "no field 'name.x'; did you mean 'name'"),
    ],
)
def test_with_field_refuses(path: str, text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        with_field(SETTING, path, text)


def test_a_window_larger_than_the_trajectory_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"'Standard Diffusion \(2-8\)': a window of 10 frames is larger than the clip of 9"
    ):
        replace(
            SETTING, data=replace(SETTING.data, frames=9), sampling=replace(SETTING.sampling, horizon=1), leads=(1,)
        )


def test_clipping_data_without_a_pixel_range_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match="sampling.clip = True: a flow has no pixel range to clip to") as refusal:
        replace(SETTING, sampling=replace(SETTING.sampling, clip=True))
    assert "\n" not in str(refusal.value)
