"""Law 9: Keras, this host, Cortex-M4F and M7 learn the same of real images.

The step rate is one at which MCUNet is no chaos: at more than 1e-3 rounding
decides after three steps.
"""

import dataclasses
import os
import subprocess
import zlib

import adaptation
import arm_board
import keras
import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf
from adaptation import REGION_TOO_SMALL, Task
from arm_board import M4, M7
from devices import boundary
from keras_steps import keras_losses

import keras_tinytrain as ktt
from keras_tinytrain import published, zoo
from keras_tinytrain.export import estimate
from keras_tinytrain.export.blob import read_blob

pytestmark = pytest.mark.usefixtures("compiled")

WAY, SHOT, QUERIES, STEPS, RATE = 3, 2, 4, 10, 5e-4
CORES = {M4: estimate.M4, M7: estimate.M7}
BUILDS = {board: core.build for board, core in CORES.items()}
# Of 256 KB: the stack, what newlib has, and the program's own objects.
NO_REGIONS = 5 * 1024


def real_images():
    """Returns photos of birds if they are there, and digits otherwise."""
    if os.environ.get("KERAS_TINYTRAIN_DATA"):
        birds = ktt.datasets.load("cub", image_size=(128, 128))
        episode = ktt.sample_episode(
            birds, seed=10, way=WAY, shot=SHOT, query=QUERIES
        )
        return episode.support, episode.query
    images, labels = sklearn.datasets.load_digits(n_class=WAY, return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).repeat(3, axis=-1) * (255 / 16)
    rows = [np.flatnonzero(labels == c)[: SHOT + QUERIES] for c in range(WAY)]
    parts = []
    for part in (slice(SHOT), slice(SHOT, None)):
        chosen = np.concatenate([row[part] for row in rows])
        large = tf.image.resize(images[chosen], (128, 128)).numpy()
        parts.append(ktt.Examples(large, labels[chosen]))
    return tuple(parts)


@dataclasses.dataclass
class Device:
    """An exported model with a task as the blob takes it."""

    model: object
    result: object
    data: bytes
    blob: object
    task: Task

    @property
    def sizes(self):
        return self.result.persistent_bytes, self.result.work_bytes

    def on_host(self, path, steps=STEPS):
        """Adapts on this machine; returns what a device is to print."""
        engine = ktt.micro.Engine(self.data, *self.sizes, learning_rate=RATE)
        pairs = list(zip(self.task.samples, self.task.labels))
        for sample, label in pairs:
            engine.observe(sample, label)
        for sample, label in pairs:
            engine.score(sample, label)
        channels = engine.select()
        engine.plan(channels)
        losses = []
        for _ in range(steps):
            losses.append([engine.accumulate(*pair) for pair in pairs])
            engine.update()
        engine.settle(self.task.samples, self.task.labels)
        logits = [engine.predict(query) for query in self.task.queries]
        engine.save(path)
        saved = path.read_bytes()
        return adaptation.Report(
            channels={k: list(map(int, c)) for k, c in channels.items()},
            losses=np.array(losses, np.float32),
            logits=np.array(logits),
            checkpoint=(len(saved), zlib.crc32(saved)),
        )

    def on_board(self, board, folder, case, *, steps=STEPS, **options):
        """Adapts on an emulated board; returns what it prints."""
        arm_board.demand()
        self.task.write(case, self.data, steps=steps, rate=RATE)
        program = adaptation.build(
            board, folder, case, self.sizes, BUILDS[board], **options
        )
        return adaptation.run(board, program)


def make_device(images, folder, *, plan=None, **options):
    """Exports MCUNet, with its ImageNet weights if they are there."""
    known = os.environ.get("KERAS_TINYTRAIN_WEIGHTS")
    keras.utils.set_random_seed(0)
    net = zoo.build("mcunet", weights="imagenet" if known else None)
    model = ktt.wrap(net)
    if plan is not None:
        ktt.apply_plan(model, plan(model))
    result = ktt.export_micro(model, folder, max_way=WAY, **options)
    data = result.blob.read_bytes()
    device = Device(model, result, data, read_blob(data), None)
    support, query = images
    device.task = Task(
        boundary(device, support.images),
        support.labels,
        boundary(device, query.images),
        query.labels,
    )
    return device


@pytest.fixture(scope="module")
def images():
    return real_images()


@pytest.fixture(scope="module")
def budget():
    memory, macs = published.costs("mcunet", "tinytrain")
    return ktt.Budget(int(memory), macs=round(macs))


@pytest.fixture(scope="module")
def tail(images, budget, tmp_path_factory):
    """MCUNet's tail at the paper's budget."""
    folder = tmp_path_factory.mktemp("tail")
    return make_device(images, folder, budget=budget)


@pytest.fixture(scope="module")
def host(tail, tmp_path_factory):
    return tail.on_host(tmp_path_factory.mktemp("host") / "host.ttck")


def same_bits(actual, expected):
    np.testing.assert_array_equal(
        actual.view(np.uint32), expected.view(np.uint32)
    )


def check_board(actual, expected, task):
    """The board does what the host does, bit for bit."""
    assert actual.refused is None, actual.numbers
    assert actual.channels == expected.channels
    same_bits(actual.losses, expected.losses)
    same_bits(actual.logits, expected.logits)
    assert actual.labels == list(expected.logits.argmax(-1))
    assert actual.right == np.sum(actual.labels == task.query_labels)
    assert actual.checkpoint == expected.checkpoint


def test_keras_and_this_host_learn_the_same(tail, host, images, budget):
    model, (support, query) = tail.model, images
    candidate = tail.blob.layers[0]["name"]
    costs = ktt.layer_costs(model, way=WAY, first=candidate)
    scores = ktt.channel_fisher(model, support, first=candidate)
    plan = ktt.select(scores, costs, budget)
    assert {k: list(c) for k, c in plan.channels.items()} == host.channels
    assert any(len(c) < len(scores[k]) for k, c in host.channels.items())
    ktt.apply_plan(model, plan)
    model.compile(optimizer=keras.optimizers.Adam(RATE))
    losses = keras_losses(model, support.images, support.labels, STEPS, WAY)
    np.testing.assert_allclose(host.losses.mean(-1), losses, rtol=1e-4)
    assert losses[-1] < 0.5 * losses[0]
    logits = model.predict(query.images, verbose=0)
    np.testing.assert_array_equal(host.logits.argmax(-1), logits.argmax(-1))
    right = np.mean(host.logits.argmax(-1) == query.labels)
    assert right > 1 / WAY


@pytest.mark.parametrize("board", BUILDS, ids=lambda board: board.cpu)
def test_cortex_m_learns_the_same(tail, host, board, build_folder, tmp_path):
    report = tail.on_board(board, build_folder, tmp_path / "case")
    check_board(report, host, tail.task)
    # What docs/engine.md says of the stack, and export/estimate.py of a step.
    assert report.stack <= 1600
    step, core = report.phases["accumulate"], CORES[board]
    macs = step.times * tail.result.macs_step
    assert step.instructions / macs == pytest.approx(
        core.instructions, rel=0.05
    )


def test_cortex_m_runs_the_whole_network(
    images, budget, build_folder, tmp_path
):
    """From pixels, one picture of each class and one step."""
    parts = [
        ktt.Examples(part.images[::step], part.labels[::step])
        for part, step in zip(images, (SHOT, QUERIES))
    ]
    whole = make_device(parts, tmp_path, budget=budget, from_pixels=True)
    assert whole.blob.network["cut"] == ""
    expected = whole.on_host(tmp_path / "host.ttck", steps=1)
    report = whole.on_board(M7, build_folder, tmp_path / "case", steps=1)
    check_board(report, expected, whole.task)


def plan_for(model, memory):
    """Chooses for a budget of the device, all channels being alike."""
    costs = ktt.layer_costs(model, way=WAY)
    scores = {c.name: np.ones(c.channels) for c in costs}
    return ktt.select(scores, costs, ktt.Budget(memory, macs=8_000_000))


def test_cortex_m_with_256_kb_of_ram(images, build_folder, tmp_path):
    """All of it: regions, stack and what the program has besides."""
    available = 256 * 1024 - NO_REGIONS
    fits, more = (
        make_device(
            images,
            tmp_path / str(memory),
            plan=lambda model, memory=memory: plan_for(model, memory),
        )
        for memory in (available, 256 * 1024 + 2048)
    )
    options = {"memory": "memory_256k.ld", "steps": 2}
    case = tmp_path / "case"
    report = fits.on_board(M4, build_folder, case, **options)
    assert report.refused is None, report.numbers
    assert sum(fits.sizes) > 0.98 * available
    plan = fits.model.plan.channels
    assert report.channels == {k: list(c) for k, c in plan.items()}
    assert report.losses[1].mean() < report.losses[0].mean()
    # The same program refuses a plan for more, before it changes anything.
    more.task.write(case, more.data, steps=1, rate=RATE)
    program = case.with_suffix(f".{M4.cpu}.elf")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        arm_board.run(M4, program)
    report = adaptation.parse(caught.value.stdout)
    assert report.refused == "plan"
    needed, given = more.sizes, fits.sizes
    region = 0 if needed[0] > given[0] else 1
    requested, available = needed[region], given[region]
    missing = requested - available
    assert report.numbers == (REGION_TOO_SMALL, requested, available, missing)
    assert not report.losses.size
    # And regions for that plan are no program for this board.
    with pytest.raises(subprocess.CalledProcessError) as caught:
        more.on_board(M4, build_folder, case, **options)
    assert "region `RAM' overflowed" in caught.value.stderr


def some_channels(model, share):
    """Plans that share of the channels of two layers, evenly spread."""
    costs = {c.name: c for c in ktt.layer_costs(model)}
    channels = {
        name: np.arange(0, costs[name].channels, round(1 / share))
        for name in ("block11_expand", "block12_project")
    }
    return ktt.selection.make_plan(
        channels, ktt.layer_costs(model), f"share {share}"
    )


def test_cortex_m_pays_for_what_trains(images, build_folder, tmp_path):
    """Half of the channels take half of the filter gradients' instructions.

    And layers below the first trained one are passed through forwards only.
    """
    reports = []
    for i, (share, pixels) in enumerate(
        ((1, False), (0.5, False), (0.5, True))
    ):
        device = make_device(
            [
                ktt.Examples(part.images[::3], part.labels[::3])
                for part in images
            ],
            tmp_path / str(i),
            plan=lambda model, share=share: some_channels(model, share),
            from_pixels=pixels,
        )
        reports.append(
            device.on_board(M4, build_folder, tmp_path / "case", steps=1)
        )
        assert reports[-1].refused is None
    whole, half, pixels = (r.phases["accumulate"] for r in reports)
    assert half.backward_filter == pytest.approx(
        whole.backward_filter / 2, rel=0.1
    )
    assert pixels.forward > 2 * half.forward
    assert pixels.backward_input == pytest.approx(half.backward_input, rel=0.01)
    assert pixels.backward_filter == pytest.approx(
        half.backward_filter, rel=0.01
    )


def test_cortex_m_engine_asks_for_no_heap(build_folder):
    """Of functions from elsewhere it calls only those of bytes and numbers."""
    arm_board.demand()
    archive = arm_board.engine(M4, build_folder, BUILDS[M4])
    listed = subprocess.run(
        [f"{arm_board.TOOLS}nm", archive],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    rows = [line.split()[-2:] for line in listed.splitlines() if " " in line]
    defined = {name for kind, name in rows if kind not in ("U", "w")}
    needed = {name for kind, name in rows if kind == "U"} - defined
    bits = "mem", "str", "__aeabi"
    allowed = (*bits, "sqrt", "fma", "floor", "nearbyint", "frexp")
    assert needed
    assert not [name for name in needed if not name.startswith(allowed)]
    # Neither data that are initialised nor zeros.
    assert not [name for kind, name in rows if kind in "BbDdC"]
