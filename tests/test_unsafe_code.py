"""No unsafe reader and no global random number in any file of the product.

Each check is a function of a file's text, so that it can be shown to fail on a planted fault.
"""

from __future__ import annotations

import ast

import pytest

from tests.support.source import ROOT, calls, complaints, dotted, imported, product_files

# The one file that opens pickles, all of them published weights whose sha256 was checked: one with an unpickler that knows a
# handful of numpy's names and refuses the rest, one with torch's own (`weights_only=True`).
OPENS_PICKLES = "evaluators/weights.py"


def unsafe_readers(text: str) -> list[tuple[int, str]]:
    """Whatever could run code out of a file or a string: pickles and their kin, eval, a shell."""
    modules = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle"}
    functions = {
        "eval", "exec", "os.system", "os.popen", "torch.load", "torch.jit.load", "torch.hub.load",
        "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "pandas.read_pickle", "pd.read_pickle",
    }  # fmt: skip
    found = [(line, name) for line, name in imported(text, "") if name.split(".")[0] in modules]
    for node, name in calls(text):
        words = {k.arg: k.value for k in node.keywords}
        risky = [k for k in ("allow_pickle", "shell") if k in words and getattr(words[k], "value", True) is not False]
        if name in functions or risky:
            found.append((node.lineno, " ".join([name, *risky])))
    return found


def global_random_numbers(text: str) -> list[tuple[int, str]]:
    """Draws from a generator that the whole process shares: results would depend on what ran before."""
    drawing = {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial"}
    numpy_own = {"default_rng", "Generator", "SeedSequence", "PCG64", "Philox"}
    found = []
    for node, name in calls(text):
        parent, _, last = name.rpartition(".")
        seeded = any(k.arg == "generator" for k in node.keywords)
        if (parent == "torch" and last in drawing and not seeded) or name in ("torch.rand_like", "torch.randn_like"):
            found.append((node.lineno, name))
        if parent in ("np.random", "numpy.random") and last not in numpy_own:
            found.append((node.lineno, name))
        if parent == "random":
            found.append((node.lineno, name))
    return found


def test_nothing_reads_a_pickle_or_runs_text() -> None:
    found = {p: unsafe_readers(p.read_text()) for p in product_files() if p != ROOT / OPENS_PICKLES}
    assert not complaints(found, "may not use"), complaints(found, "may not use")


def test_pickles_are_opened_by_restricted_readers_alone() -> None:
    text = (ROOT / OPENS_PICKLES).read_text()
    torch_loads = [call for call, name in calls(text) if name == "torch.load"]
    restricted = [
        c for c in torch_loads if any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in c.keywords)
    ]
    assert torch_loads == restricted, f"{OPENS_PICKLES}: torch.load without weights_only=True runs what a file says"
    pickles = {dotted(n) for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Attribute)} & {
        f"pickle.{name}" for name in ("load", "loads", "Unpickler", "_Unpickler")
    }
    assert pickles <= {"pickle.Unpickler"} and "def find_class(" in text
    others = {name for _, name in unsafe_readers(text)} - {"pickle", "torch.load"}
    assert not others, f"{OPENS_PICKLES} may not use {others}"


@pytest.mark.parametrize(
    "text",
    [
        "import pickle", "from cloudpickle import loads", "torch.load(path)", "yaml.load(text, Loader)", "eval(text)",
        "np.load(path, allow_pickle=True)", "subprocess.run(line, shell=True)",
    ],
)  # fmt: skip
def test_an_unsafe_reader_is_found(text: str) -> None:
    assert len(unsafe_readers(text)) == 1


@pytest.mark.parametrize("text", ["model.eval()", "np.load(path, allow_pickle=False)", "yaml.safe_load(text)"])
def test_a_safe_reader_passes(text: str) -> None:
    assert unsafe_readers(text) == []


def test_nothing_draws_from_a_global_generator() -> None:
    found = {p: global_random_numbers(p.read_text()) for p in product_files()}
    assert not complaints(found, "draws from the global generator by"), complaints(
        found, "draws from the global generator by"
    )


@pytest.mark.parametrize("text", ["torch.randn(3)", "np.random.rand(3)", "random.random()", "torch.randn_like(x)"])
def test_a_global_draw_is_found(text: str) -> None:
    assert len(global_random_numbers(text)) == 1


@pytest.mark.parametrize("text", ["torch.randn(3, generator=g)", "np.random.default_rng(0)", "generator.random(3)"])
def test_an_own_generator_passes(text: str) -> None:
    assert global_random_numbers(text) == []
