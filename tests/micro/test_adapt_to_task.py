"""AdaptToTask on emulated boards, and what examples/send_samples.py sends."""

import json
import re
import shutil

import arm_board
import numpy as np
import pytest
import session_library
import sketches
import tensorflow as tf
from make_examples import digits
from serial_bridge import EmulatedPort
from session_library import BadLine, Line
from test_scripts import run

import keras_tinytrain as ktt
from keras_tinytrain.micro import SerialDevice
from keras_tinytrain.micro.serial_device import read_exported
from keras_tinytrain.micro.serial_frames import FrameReader

HEADER = sketches.EXAMPLES / "AdaptToTask" / "digits.h"
WAY = 5


@pytest.fixture(scope="module", params=sketches.BOARDS)
def board(request):
    return request.param


@pytest.fixture(scope="module")
def program(board, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sketch")
    return sketches.build(board, HEADER.parent, folder)


@pytest.fixture(scope="module")
def new_digits(tmp_path_factory):
    """A folder of the digits 5 to 9, as images."""
    folder = tmp_path_factory.mktemp("digits")
    images, labels = digits()
    for i, (image, label) in enumerate(zip(images, labels)):
        if label < 5 or i > 500:
            continue
        path = folder / str(label) / f"{i:04}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(tf.io.encode_png(image.astype("uint8")).numpy())
    return folder


def sizes_of(header):
    """Returns the memory of the sketch with a header."""
    defined = dict(re.findall(r"#define \w+?_(\w+)_BYTES (\d+)", header))
    numbers = {k.split("_")[-1]: int(v) for k, v in defined.items()}
    persistent = numbers["PERSISTENT"]
    sizes = persistent, numbers["WORK"], numbers["SAMPLE"], 32 * 1024
    return *sizes, persistent // 2 + 1024


def test_a_board_answers_as_the_host_does(
    compiler, build_folder, board, program, new_digits
):
    """Bit by bit, to all that a host sends over a bad line."""
    path = build_folder / "session.so"
    flags = "-O2", "-shared", "-fPIC"
    library = session_library.build(compiler, path, *flags)
    blob = read_exported(HEADER)
    line = Line(library, blob, sizes_of(HEADER.read_text()))
    device = SerialDevice(HEADER, BadLine(line, seed=1, share=0.1))
    dataset = ktt.datasets.load(new_digits, image_size=(16, 16))
    task = ktt.sample_episode(dataset, seed=0, way=WAY, shot=2)
    pairs = [*zip(task.support.images, task.support.labels)]
    for sample, label in pairs:
        device.observe(sample, label)
    for sample, label in pairs:
        device.score(sample, label)
    device.plan(device.select())
    losses = device.train(*zip(*pairs), steps=3)
    device.settle(*zip(*pairs))
    device.save()
    device.load()
    logits = device.predict(task.query.images[0])
    assert device.repeated > 3
    assert losses[-1] < losses[0]

    data = arm_board.serve(sketches.BOARDS[board], program, bytes(line.sent))
    found = FrameReader().take(data)
    again = Line(library, blob, sizes_of(HEADER.read_text()))
    again.write(bytes(line.sent))
    expected = FrameReader().take(again.read(0.0))
    assert len(found) == len(expected) > 80
    assert {0x80, 0x81} <= {frame.type for frame in found}
    for frame, other in zip(found, expected):
        # Only one of the boards has flash.
        assert frame == other or frame.type == 0x81
    np.testing.assert_array_equal(
        np.frombuffer(found[-1].payload[16:], "<f4"), logits
    )


def send(port, export, dataset, *flags):
    """Runs the script; returns what its last line says, and the lines."""
    process = run(
        "send_samples.py",
        *(f"--port={port}", f"--export={export}", f"--dataset={dataset}"),
        *("--way=5", "--shot=5", "--queries=50", "--json", *flags),
    )
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    return json.loads(lines[-1]), lines


def garble(data):
    """Drops a byte, or turns one, of every ninth message."""
    garble.count += 1
    if garble.count % 9:
        return data
    place = len(data) // 2
    turned = bytes([data[place] ^ 0x55]) if garble.count % 2 else b""
    return data[:place] + turned + data[place + 1 :]


@pytest.mark.parametrize("damage", [bytes, garble], ids=["good", "bad"])
def test_the_script_teaches_a_board(board, program, new_digits, damage):
    garble.count = 0
    with EmulatedPort(sketches.BOARDS[board], program, damage) as port:
        flags = "--steps=8", "--seconds=1"
        found, lines = send(port.path, HEADER, new_digits, *flags)
        before, after = found["accuracy_before"], found["accuracy_after"]
        assert after > 0.7
        assert after >= before
        assert found["losses"][-1] < found["losses"][0] / 2
        assert len(found["losses"]) == 8
        assert (found["repeated"] > 0) == (damage is garble)
        place = {"m4": "RAM, until the power goes.", "m7": "flash."}[board]
        assert any(line.endswith(place) for line in lines)
        # Kept on the board: each of 25 images crosses the line once.
        images = (25 + 2 * 50) * 768
        assert images < found["sent_bytes"] < 1.6 * images


def test_another_header_and_features(make_net, new_digits, tmp_path):
    """A net of one's own: its tail on the board, the rest in the script."""
    net = make_net()
    net.save(tmp_path / "net.keras")
    model = ktt.wrap(net)
    costs = ktt.layer_costs(model, way=WAY)
    budget = ktt.Budget(costs.memory_bytes({"last": 4}), macs=1e9)
    result = ktt.export_micro(
        model, tmp_path / "export", budget=budget, max_way=WAY
    )
    sketch = tmp_path / "Mine"
    shutil.copytree(HEADER.parent, sketch)
    text = (sketch / "AdaptToTask.ino").read_text()
    text = text.replace("digits", "net").replace("DIGITS", "NET")
    (sketch / "AdaptToTask.ino").unlink()
    (sketch / "Mine.ino").write_text(text)
    shutil.copy(result.header, sketch)
    program = sketches.build("m4", sketch, tmp_path)
    with EmulatedPort(arm_board.M4, program) as port:
        export = result.blob.parent
        flags = f"--net={tmp_path / 'net.keras'}", "--image_size=16"
        found, _ = send(port.path, export, new_digits, *flags, "--steps=3")
        assert found["losses"][-1] < found["losses"][0]
        assert found["accuracy_after"] > 0.3
        # And not with an export that is on no board.
        process = run(
            "send_samples.py",
            *(f"--port={port.path}", f"--export={HEADER}"),
            f"--dataset={new_digits}",
        )
    assert process.returncode == 1
    assert "compile the sketch with this header" in process.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--port=/dev/none"], "Expected a serial port"),
        (["--port=/dev/none", "--export=nowhere"], "nowhere"),
        (["--port=/dev/null", "--seconds=0.1"], "Expected a"),
    ],
)
def test_the_script_says_what_is_wrong(flags, message):
    process = run("send_samples.py", f"--export={HEADER}", *flags)
    assert process.returncode == 1
    assert message in process.stderr
    assert "Traceback" not in process.stderr


def test_a_silent_board(tmp_path):
    """A port where nobody answers: it says how long it has waited."""
    with EmulatedPort(arm_board.M4, tmp_path / "none") as port:
        flags = f"--port={port.path}", "--seconds=0.1"
        process = run("send_samples.py", f"--export={HEADER}", *flags)
    assert process.returncode == 1
    assert "Expected an answer within 0.1 s, 6 times" in process.stderr
