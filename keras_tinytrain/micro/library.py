"""Compiles engine and simulator with the system's compiler, once each."""

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
# What else each library has: its own source, the folders of the engine, and
# flags. The operator is there once for each kind of wheel.
_TFLM = _FOLDER / "tflm"
_TFLM_FLAGS = ("-fvisibility=hidden",)
_OPERATOR = _TFLM / "simulator.cpp", ("", "kernels", "tflm")
_TARGETS = {
    "engine": (_FOLDER / "engine.cpp", ("", "kernels"), ()),
    "classic": (*_OPERATOR, _TFLM_FLAGS),
    "namespaced": (*_OPERATOR, (*_TFLM_FLAGS, "-DTINYTRAIN_NEW_ABI")),
}


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


@functools.cache
def load_operator(abi: str) -> ctypes.CDLL:
    """Returns the operator for TensorFlow Lite Micro.

    Args:
        abi: `"classic"` or `"namespaced"`. A process has one of them.

    Raises:
        OSError: If there is no compiler, or it fails.
    """
    path = build(cache_folder(), abi)
    # The wheel looks for the function that registers it in all libraries.
    library = ctypes.CDLL(str(path), os.RTLD_GLOBAL | os.RTLD_NOW)
    library.tinytrain_tail_of.restype = ctypes.c_void_p
    return library


def cache_folder() -> pathlib.Path:
    """Returns where compiled engines are kept."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(caches).expanduser() / "keras_tinytrain"


def build(folder: pathlib.Path, target: str = "engine") -> pathlib.Path:
    """Compiles a library, unless the same is there already.

    Args:
        folder: Where, made if it is not there. Processes may share it.
        target: One of `_TARGETS`.

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
    path = folder / f"{target}-{_key(compiler, target)}.so"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    # Each process has a part of its own; whoever comes last wins.
    handle, name = tempfile.mkstemp(suffix=".so", prefix="part-", dir=folder)
    os.close(handle)
    part = pathlib.Path(name)
    sources = [p for p in _files(target) if p.suffix == ".cpp"]
    flags = *_FLAGS, *_TARGETS[target][2], f"-I{_SOURCES}", f"-I{_TFLM}"
    try:
        _run(compiler, *flags, *sources, "-o", part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _files(target: str) -> list[pathlib.Path]:
    """Lists what is compiled or included, in the same order everywhere."""
    source, folders, _ = _TARGETS[target]
    found = [
        path
        for folder in folders
        for path in (_SOURCES / "tinytrain" / folder).glob("*.*")
    ]
    if "tflm" in folders:
        found += _TFLM.glob("tensorflow/lite/micro/*.h")
    # The plain kernels are for tests.
    kept = [p for p in found if not p.name.endswith("_reference.cpp")]
    return [source, *sorted(kept)]


def _key(compiler: str, target: str) -> str:
    """Returns a name of all that decides what is compiled."""
    flags = *_FLAGS, *_TARGETS[target][2]
    digest = hashlib.sha256(" ".join(flags).encode())
    # What the compiler defines tells its version, and the processor that
    # "native" means: home folders are shared by different machines.
    digest.update(_run(compiler, *flags, "-dM", "-E", "-x", "c++", os.devnull))
    for path in _files(target):
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
