"""The compiled kernels, once per session."""

import os
from pathlib import Path

import engine_library
import kernel_library
import pytest


@pytest.fixture(scope="session")
def build_folder(tmp_path_factory):
    """A folder that the processes of one test run share."""
    base = tmp_path_factory.getbasetemp()
    shared = "PYTEST_XDIST_WORKER" in os.environ
    return base.parent if shared else base


@pytest.fixture(scope="session")
def kernels(build_folder):
    """The kernels, compiled here or, sanitized, by the test that says so."""
    if kernel_library.compiler() is None:
        pytest.skip("There is no C++ compiler (g++) to build the kernels with.")
    path = os.environ.get("TINYTRAIN_KERNELS")
    if path is None:
        path = kernel_library.build(build_folder / "kernels.so")
    return kernel_library.Kernels(Path(path))


@pytest.fixture(scope="session")
def engine_build(build_folder):
    """The engine, compiled with counters in front of the kernels."""
    if kernel_library.compiler() is None:
        pytest.skip("There is no C++ compiler (g++) to build the engine with.")
    return engine_library.load(engine_library.build(build_folder / "engine.so"))
