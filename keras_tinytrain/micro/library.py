"""Compiles the engine with the system's compiler, once."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

_FOLDER = pathlib.Path(__file__).parent
# A link to micro/src in a checkout, a copy of it in a wheel.
_SOURCES = _FOLDER / "src"
_FLAGS = (
    *("-std=gnu++11", "-O2", "-march=native", "-ffp-contract=off"),
    *("-fno-exceptions", "-fno-rtti", "-shared", "-fPIC"),
)


@functools.cache
def load_library() -> ctypes.CDLL:
    """Returns the engine, compiled when nobody has done so before.

    Raises:
        OSError: If there is no compiler, or it fails.
    """
    library = ctypes.CDLL(str(build(cache_folder())))
    library.tinytrain_new.restype = ctypes.c_void_p
    library.tinytrain_selector_bytes.restype = ctypes.c_uint64
    return library


def cache_folder() -> pathlib.Path:
    """Returns where compiled engines are kept."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(caches).expanduser() / "keras_tinytrain"


def build(folder: pathlib.Path) -> pathlib.Path:
    """Compiles the engine, unless the same is there already.

    Args:
        folder: Where, made if it is not there. Processes may share it.

    Returns:
        The shared library, named by sources, flags, compiler and processor.

    Raises:
        OSError: If there is no compiler, or it fails.
    """
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        raise OSError(
            "Expected a C++ compiler to build the engine with: install g++ or "
            "set CXX to another. Received: "
            f"{os.environ.get('CXX', 'g++')!r}, which is not there"
        )
    path = folder / f"engine-{_key(compiler)}.so"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    # Each process has a part of its own; whoever comes last wins.
    handle, name = tempfile.mkstemp(suffix=".so", prefix="part-", dir=folder)
    os.close(handle)
    part = pathlib.Path(name)
    sources = [p for p in _files() if p.suffix == ".cpp"]
    try:
        _run(compiler, *_FLAGS, f"-I{_SOURCES}", *sources, "-o", part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _files() -> list[pathlib.Path]:
    """Lists what is compiled or included, in the same order everywhere."""
    folder = _SOURCES / "tinytrain"
    found = [*folder.glob("*.*"), *folder.glob("kernels/*.*")]
    # The plain kernels are for tests.
    kept = [p for p in found if not p.name.endswith("_reference.cpp")]
    return [_FOLDER / "engine.cpp", *sorted(kept)]


def _key(compiler: str) -> str:
    """Returns a name of all that decides what is compiled."""
    digest = hashlib.sha256(" ".join(_FLAGS).encode())
    # What the compiler defines tells its version, and the processor that
    # "native" means: home folders are shared by different machines.
    digest.update(_run(compiler, *_FLAGS, "-dM", "-E", "-x", "c++", os.devnull))
    for path in _files():
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _run(*command: str | os.PathLike) -> bytes:
    result = subprocess.run(command, capture_output=True)
    if result.returncode:
        raise OSError(
            f"Expected {command[0]} to compile the engine. Received: exit "
            f"status {result.returncode} and\n"
            f"{result.stderr.decode(errors='replace')[-2000:]}"
        )
    return result.stdout
