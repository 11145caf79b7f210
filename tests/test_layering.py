"""Imports go down only, and importing the library stays light."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import keras_tinytrain

PACKAGE = Path(keras_tinytrain.__file__).parent
HEAVY = {"tensorflow", "keras"}

# What each module of the core may import of the core, lowest first.
ALLOWED = {
    "version": set(),
    "whole_files": set(),
    "examples": set(),
    "grouping": set(),
    "budget": set(),
    "plan": set(),
    "published": set(),
    "graph": set(),
    "heads": set(),
    "augmentation": set(),
    "paddings": set(),
    "device_graph": {"paddings"},
    "device_scratch": {"device_graph"},
    "lifetimes": {"device_graph", "device_scratch"},
    "arena": {"device_graph", "lifetimes"},
    "inverted_residuals": {"graph"},
    "adapters": {"graph", "inverted_residuals"},
    "episodes": {"examples", "grouping"},
    "image_files": {"episodes"},
    "folders": {"episodes", "image_files"},
    "array_dataset": {"episodes", "examples"},
    "class_splits": set(),
    "known_datasets": set(),
    "record_files": set(),
    "tfds_sources": set(),
    "tfds_datasets": {
        "class_splits",
        "episodes",
        "image_files",
        "record_files",
        "tfds_sources",
    },
    "datasets": {
        "array_dataset",
        "class_splits",
        "folders",
        "known_datasets",
        "tfds_datasets",
        "tfds_sources",
    },
    "slices": set(),
    "masking": {"plan", "slices"},
    "masked_layers": {"masking", "slices"},
    "network": {"graph", "masking", "masked_layers", "budget", "slices"},
    "window": {"network", "heads", "augmentation", "slices"},
    "lowering": {"device_graph", "graph", "masking", "network", "paddings"},
    "layer_lowering": {
        "graph",
        "lowering",
        "masked_layers",
        "masking",
        "paddings",
    },
    "lower": {
        "device_graph",
        "graph",
        "layer_lowering",
        "lowering",
        "masked_layers",
        "network",
    },
    "costs": {
        "arena",
        "budget",
        "device_graph",
        "lower",
        "masked_layers",
        "network",
        "plan",
    },
    "fisher": {"examples", "heads", "window"},
    "selection": {"budget", "plan"},
    "sparse_update": {"budget", "costs", "plan", "selection"},
    "scheme_memory": {"budget", "sparse_update"},
    "scheme_search": {"budget", "scheme_memory", "sparse_update"},
    "scheme_evolution": {"budget", "scheme_search", "sparse_update"},
    "qas": set(),
    "reservoir": set(),
    "trainer": {"heads", "qas", "window"},
    "training": {"examples", "heads", "window"},
    "model": {
        "examples",
        "heads",
        "masking",
        "network",
        "plan",
        "qas",
        "slices",
        "trainer",
        "training",
        "window",
    },
    "lifelong": {
        "costs",
        "device_graph",
        "heads",
        "lower",
        "masking",
        "model",
        "plan",
        "qas",
        "reservoir",
        "training",
    },
    "callbacks": {
        "budget",
        "costs",
        "fisher",
        "masking",
        "plan",
        "selection",
    },
}
# Rooms above the core, which it never imports.
ABOVE = {
    "plots",
    "zoo",
    "export",
    "micro",
    "quantization",
    "meta",
    "methods",
    "evaluation",
    "report",
}
# What those of several modules may import besides the core, and themselves.
ABOVE_ALLOWED = {
    "quantization": {"zoo"},
    "export": {"quantization"},
    "micro": {"export", "quantization"},
    "methods": set(),
    "meta": {"zoo"},
    "evaluation": {"methods", "quantization", "zoo"},
    "report": {"methods", "evaluation"},
}
NUMPY_ONLY = (
    "arena",
    "budget",
    "device_graph",
    "device_scratch",
    "episodes",
    "examples",
    "grouping",
    "lifetimes",
    "plan",
    "reservoir",
    "selection",
)


def imports(path):
    """Returns the full names of all that a file imports, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            if node.module == "keras_tinytrain":
                found |= {f"keras_tinytrain.{a.name}" for a in node.names}
            else:
                found.add(node.module)
    return found


def rooms(path):
    """Returns the modules of ours that a file imports."""
    names = [name.split(".") for name in imports(path)]
    return {n[1] if n[1:] else "" for n in names if n[0] == "keras_tinytrain"}


def core_modules():
    names = {path.stem for path in PACKAGE.glob("*.py")}
    return sorted(names - ABOVE - {"__init__"})


def test_the_table_goes_down_only():
    order = list(ALLOWED)
    for name, below in ALLOWED.items():
        assert below <= set(order[: order.index(name)]), name


def test_the_table_knows_every_module():
    assert set(core_modules()) == set(ALLOWED)


@pytest.mark.parametrize("name", core_modules())
def test_core_imports_go_down(name):
    assert rooms(PACKAGE / f"{name}.py") <= ALLOWED[name]


@pytest.mark.parametrize("name", ABOVE_ALLOWED)
def test_rooms_above_the_core_import_downwards(name):
    for path in (PACKAGE / name).glob("*.py"):
        allowed = {name, *ALLOWED, *ABOVE_ALLOWED[name]}
        assert rooms(path) <= allowed, path.name


def test_plain_data_need_the_standard_library_alone():
    for name in (
        "published",
        "whole_files",
        "evaluation/records",
        "evaluation/channels",
        "export/layout",
        "paddings",
    ):
        top = {m.split(".")[0] for m in imports(PACKAGE / f"{name}.py")}
        assert top <= set(sys.stdlib_module_names), name


@pytest.mark.parametrize("name", NUMPY_ONLY)
def test_plain_modules_need_no_tensorflow(name):
    top = {module.split(".")[0] for module in imports(PACKAGE / f"{name}.py")}
    assert not top & HEAVY
    assert top <= {*sys.stdlib_module_names, "numpy", "keras_tinytrain"}


def test_the_graph_is_read_with_keras_alone():
    top = {module.split(".")[0] for module in imports(PACKAGE / "graph.py")}
    assert top <= {*sys.stdlib_module_names, "keras"}


def test_the_zoo_knows_files_and_nothing_else_of_the_core():
    for path in (PACKAGE / "zoo").glob("*.py"):
        assert rooms(path) <= {"zoo", "whole_files"}, path.name


def test_the_package_itself_holds_no_code():
    body = ast.parse((PACKAGE / "__init__.py").read_text()).body
    kinds = {type(node) for node in body}
    assert kinds <= {ast.Expr, ast.Import, ast.ImportFrom, ast.Assign}
    assert sorted(keras_tinytrain.__all__) == keras_tinytrain.__all__
    for name in keras_tinytrain.__all__:
        assert hasattr(keras_tinytrain, name)


def test_importing_it_leaves_the_process_as_it_is():
    """tfmot would switch the whole process to Keras 2."""
    program = """
import json, os, sys
before = dict(os.environ)
import keras_tinytrain
names = [m for m in sys.modules if "." not in m]
changed = [k for k, v in os.environ.items() if before.get(k) != v]
print(json.dumps([names, changed]))
"""
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        cwd=PACKAGE.parent,
        text=True,
    )
    names, changed = json.loads(result.stdout.splitlines()[-1])
    assert "keras" in names
    assert not {"tensorflow_model_optimization", "tf_keras"} & set(names)
    assert "TF_USE_LEGACY_KERAS" not in changed
