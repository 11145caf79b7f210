"""Runs a task in a simulator; in a process of its own, as wheels differ.

Reads `task.npz` (images, labels, queries, steps, rate) in a folder that
`export_micro` has written, and writes `simulated.npz` and `simulated.json`.
"""

import json
import sys
from pathlib import Path

import numpy as np

import keras_tinytrain as ktt
from keras_tinytrain.export import layout
from keras_tinytrain.export.blob import read_blob
from keras_tinytrain.micro import EngineError
from keras_tinytrain.micro.tail_handle import IDLE, PHASES

SELECT, UPDATE, SETTLE, BEGIN, PLAN = 3, 5, 7, 8, 9


def learn(simulator, task):
    """A life by the calls of `Engine`; returns what came of it."""
    images, labels = task["images"], task["labels"]
    for image, label in zip(images, labels):
        simulator.observe(image, label)
    for image, label in zip(images, labels):
        simulator.score(image, label)
    channels = simulator.select()
    simulator.plan(channels)
    losses = simulator.train(images, labels, steps=int(task["steps"]))
    simulator.settle(images, labels)
    logits = np.stack([simulator.predict(x) for x in task["queries"]])
    return channels, losses, logits


def through_the_graph(folder, task):
    """The same by the control input alone, without a call of the operator."""
    simulator = ktt.micro.Simulator(folder, learning_rate=float(task["rate"]))
    handle, file = simulator._handle, simulator._handle._file

    def run(phase, label=0, image=task["images"][0]):
        logits, loss, status = handle.invoke(phase, label, file.stored(image))
        assert status[0] == 0, status
        return logits, loss

    pairs = list(zip(task["images"], map(int, task["labels"])))
    for name in ("observe", "score"):
        for image, label in pairs:
            run(PHASES[name], label, image)
    run(SELECT)
    losses = []
    for _ in range(int(task["steps"])):
        found = [run(PHASES["accumulate"], y, x)[1] for x, y in pairs]
        losses.append(float(np.mean(found)))
        run(UPDATE)
    for image, label in pairs:
        run(PHASES["revisit"], label, image)
    run(SETTLE)
    logits = [run(PHASES["predict"], 0, x)[0] for x in task["queries"]]
    return losses, np.stack(logits)


def refused(call):
    """Returns the reason and the numbers of a refusal."""
    try:
        call()
    except EngineError as error:
        numbers = error.requested, error.available, error.missing
        return [error.reason, *numbers]
    raise AssertionError("Expected a refusal. Received: none")


def refusals(folder, task):
    """What is wrong on purpose, and what is said."""
    simulator = ktt.micro.Simulator(folder)
    handle = simulator._handle
    image, blank = task["images"][0], np.zeros((1, *simulator.sample_shape))
    blank = blank.astype(np.int8)
    found = {
        name: refused(call)
        for name, call in {
            "predict": lambda: simulator.predict(image),
            "score": lambda: simulator.score(image, 0),
            "accumulate": lambda: simulator.accumulate(image, 0),
            "update": simulator.update,
        }.items()
    }
    found["unknown phase"] = int(handle.invoke(99, 0, blank)[2][0])
    found["negative label"] = int(handle.invoke(1, -1, blank)[2][0])
    found["no plan"] = int(handle.invoke(PLAN, 0, blank)[2][0])
    found["too many classes"] = int(handle.invoke(BEGIN, 999, blank)[2][0])
    found["idle"] = int(handle.invoke(IDLE, 0, blank)[2][0])
    # What stays does not fit; then what is planned does not.
    for name, size in (
        ("tail", simulator.arena["tail"] // 2),
        ("head", simulator.arena["tail"] + simulator.arena["head"] // 2),
    ):
        found[f"arena {name}"] = refused(
            lambda size=size: ktt.micro.Simulator(folder, arena_bytes=size)
        )
    data = bytearray((folder / "model.tflite").read_bytes())
    options = data.index(b"TTNO")
    blob = data.index(b"TTNB")
    for name, at in {"options": options + 44, "blob": blob + 400}.items():
        found[f"damaged {name}"] = refused(lambda at=at: open_damaged(data, at))
    found["another version"] = refused(lambda: open_damaged(data, options + 4))
    if read_blob(handle._file.blob).tensors[0]["type"]:
        found["another scale"] = refused(lambda: open_rescaled(data, options))
    return found


def open_damaged(data, at):
    """Hands the wheel a model of which one byte is another."""
    from keras_tinytrain.micro.interpreter import (
        load_runtime,
        make_interpreter,
    )

    damaged = bytearray(data)
    damaged[at] ^= 2
    make_interpreter(load_runtime()[0], bytes(damaged), 2**24)


def open_rescaled(data, at):
    """Hands the wheel a model whose operator is told another scale."""
    from keras_tinytrain.micro.interpreter import (
        load_runtime,
        make_interpreter,
    )

    row = layout.TAIL.unpack(bytes(data), at)
    packed = layout.seal(layout.TAIL.pack(**row | {"scale": 2 * row["scale"]}))
    other = bytes(data[:at]) + packed + bytes(data[at + len(packed) :])
    make_interpreter(load_runtime()[0], other, 2**24)


def main(folder):
    task = dict(np.load(folder / "task.npz"))
    simulator = ktt.micro.Simulator(folder, learning_rate=float(task["rate"]))
    channels, losses, logits = learn(simulator, task)
    again, predicted = through_the_graph(folder, task)
    np.savez(
        folder / "simulated.npz",
        losses=losses,
        logits=logits,
        losses_of_graph=again,
        logits_of_graph=predicted,
        features=simulator.features(task["images"]),
    )
    said = {
        "abi": simulator._handle.abi,
        "channels": {k: v.tolist() for k, v in channels.items()},
        "arena": simulator.arena,
        "ours": [simulator.persistent_bytes, simulator.scratch_bytes],
        "refusals": refusals(folder, task),
    }
    (folder / "simulated.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
