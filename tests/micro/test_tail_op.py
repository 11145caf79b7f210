"""The adapter with each generation of TensorFlow Lite Micro's headers."""

import subprocess
from pathlib import Path

import kernel_library
import numpy as np
import pytest
from small_nets import build_net, build_task

import keras_tinytrain as ktt
from keras_tinytrain.micro.tail_file import read_tail_file

HERE = Path(__file__).parent
STAND_INS = Path(ktt.__file__).parent / "micro" / "tflm"
pytestmark = pytest.mark.usefixtures("compiled")
WAY, STEPS = 3, 2
GENERATIONS = {
    "arduino": (HERE / "tflm_arduino", ("-std=gnu++11",)),
    "classic": (STAND_INS, ("-std=gnu++17",)),
    "namespaced": (STAND_INS, ("-std=gnu++17", "-DTINYTRAIN_NEW_ABI")),
}


@pytest.fixture
def exported(tmp_path):
    """A model with int8 features of a task; what the program reads."""
    task = build_task(way=WAY)
    result = ktt.export_micro(
        ktt.wrap(build_net()),
        tmp_path,
        budget=ktt.Budget(8000, macs=16000),
        max_way=WAY,
        representative_data=task,
    )
    file = read_tail_file(result.tflite.read_bytes())
    data = result.tflite.read_bytes()
    start = data.index(b"TTNO")
    (tmp_path / "options").write_bytes(data[start:][: file.options["size"]])
    (tmp_path / "blob").write_bytes(file.blob)
    rng = np.random.default_rng(0)
    shape = ktt.micro.Engine(result.blob).sample_shape
    features = rng.integers(-128, 128, (len(task.labels), *shape), np.int8)
    (tmp_path / "features").write_bytes(features.tobytes())
    (tmp_path / "labels").write_bytes(task.labels.astype(np.int8).tobytes())
    return result, file, features, task.labels


def losses_of_engine(exported):
    result, file, features, labels = exported
    steps = features.astype(np.float32) - file.options["zero_point"]
    samples = np.float32(file.options["scale"]) * steps
    engine = ktt.micro.Engine(result.blob)
    for call in (engine.observe, engine.score):
        for sample, label in zip(samples, labels):
            call(sample, label)
    engine.plan(engine.select())
    losses = []
    for _ in range(STEPS):
        pairs = zip(samples, labels)
        losses += [engine.accumulate(x, label) for x, label in pairs]
        engine.update()
    return losses, engine.predict(samples[0])


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_same_in_every_generation(compiler, tmp_path, exported, generation):
    """Losses and logits of the engine; a second operator changes no bit."""
    headers, flags = GENERATIONS[generation]
    program = tmp_path / "drive"
    subprocess.run(
        [
            *(compiler, "-O1", "-ffp-contract=off"),
            *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
            *(*kernel_library.WARNINGS, "-Wshadow", *flags),
            *(f"-I{kernel_library.SOURCES}", f"-I{headers}"),
            *(str(HERE / "drive_tail_op.cpp"), "-o", str(program)),
            *kernel_library.engine_sources(),
        ],
        check=True,
    )
    count = len(exported[3])
    result = subprocess.run(
        [program, tmp_path, str(count), str(WAY), str(STEPS)],
        capture_output=True,
        env={"ASAN_OPTIONS": "detect_leaks=0"},
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    half = len(lines) // 2
    assert lines[:half] == lines[half:]
    losses, logits = losses_of_engine(exported)
    found = [float(line) for line in lines[: half - 1]]
    np.testing.assert_array_equal(np.float32(found), np.float32(losses))
    last = np.float32(lines[half - 1].split())
    np.testing.assert_array_equal(last, logits)


def test_without_headers_there_is_no_operator(compiler, tmp_path):
    source = tmp_path / "none.cpp"
    source.write_text(
        '#include "tinytrain/tflm/tail_op.h"\n'
        "#if TINYTRAIN_TFLM\n#error Found some.\n#endif\n"
        "tinytrain::Tail tail;\n"
    )
    command = compiler, "-std=gnu++11", "-fsyntax-only"
    subprocess.run(
        [*command, f"-I{kernel_library.SOURCES}", source], check=True
    )
