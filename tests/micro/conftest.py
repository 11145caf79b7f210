"""The compiled kernels, once per session."""

import os
from pathlib import Path

import engine_library
import kernel_library
import numpy as np
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


# Imported where they are used: tests under AddressSanitizer load this file, and
# TensorFlow would have to come along.


@pytest.fixture(scope="session")
def checkpoints(compiler, tmp_path_factory):
    """The checkpoints of the engine, compiled."""
    from checkpoint_library import build_library

    path = tmp_path_factory.mktemp("checkpoints") / "checkpoints.so"
    return build_library(compiler, path)


@pytest.fixture(scope="session")
def compiled(compiler, build_folder):
    """Keeps what is compiled with the tests, not with the user's caches."""
    from keras_tinytrain.micro import library

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(build_folder))
        yield library.load_library()


@pytest.fixture(params=["classic", "namespaced"])
def wheel(request):
    """Returns the kind of a wheel and the environment that has it."""
    import keras_tinytrain
    from keras_tinytrain.micro import interpreter

    kinds = dict(zip(("classic", "namespaced"), interpreter.TESTED))
    version = kinds[request.param]
    folder = Path(os.environ.get("TINYTRAIN_WHEELS", "none"), version)
    if not folder.is_dir():
        pytest.skip(
            f"needs tflite-micro {version} in $TINYTRAIN_WHEELS, see "
            "`make wheels`"
        )
    package = Path(keras_tinytrain.__file__).parents[1]
    path = os.pathsep.join(map(str, (folder, package)))
    return request.param, os.environ | {"PYTHONPATH": path}


@pytest.fixture
def device(checkpoints, tmp_path):
    """A device with the whole network of `checkpoint_nets`."""
    from checkpoint_cases import exported
    from checkpoint_nets import build

    return exported(checkpoints, build(), tmp_path, from_pixels=True)


@pytest.fixture
def checkpoint(tmp_path):
    """What the host has learned of that network."""
    from checkpoint_cases import learn, saved
    from checkpoint_nets import build

    return saved(learn(build()), tmp_path)[0]


@pytest.fixture(params=["ram", "file", 1, 8, 32])
def slots(request, tmp_path):
    """Two empty slots of 1 KB, also in flash with units of some bytes."""
    from checkpoint_library import Slots

    if request.param == "ram":
        return Slots(np.zeros(2048, np.uint8))
    if request.param == "file":
        (tmp_path / "slots").write_bytes(b"")
        return Slots(np.zeros(2048, np.uint8), file=tmp_path / "slots")
    erased = np.full(2048, 0xFF, np.uint8)
    return Slots(erased, page_bytes=256, write_bytes=request.param)


@pytest.fixture(scope="session")
def selectors(compiler, tmp_path_factory):
    """The selector of the engine, compiled."""
    from selector_library import build_library

    path = tmp_path_factory.mktemp("selectors") / "selectors.so"
    return build_library(compiler, path)


@pytest.fixture(scope="session")
def nets(tmp_path_factory):
    """Blobs of the nets of `selector_cases`, and their costs."""
    from selector_cases import export_nets

    return export_nets(tmp_path_factory.mktemp("nets"))
