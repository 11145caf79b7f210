"""Training over a line: as in `Engine`, whatever happens to the bytes."""

import numpy as np
import pytest
import session_library
from session_library import ENOUGH, BadLine, Line

import keras_tinytrain as ktt
from keras_tinytrain.export.blob import read_blob
from keras_tinytrain.micro import EngineError, SerialDevice
from keras_tinytrain.micro.prefix import device_samples
from keras_tinytrain.micro.serial_frames import Frame, FrameReader

RATE = 0.004
WAY = 3
pytestmark = pytest.mark.usefixtures("compiled")


@pytest.fixture(scope="module")
def library(compiler, build_folder):
    flags = "-O2", "-shared", "-fPIC"
    path = build_folder / "session.so"
    return session_library.build(compiler, path, *flags)


@pytest.fixture(scope="module")
def program(compiler, build_folder):
    path = build_folder / "session_sanitized"
    return session_library.build_sanitized(compiler, path)


@pytest.fixture
def pixels(make_net, make_task, tmp_path):
    """A net from pixels, and images of whole numbers."""
    task = make_task(way=WAY)
    low, high = task.images.min(), task.images.max()
    images = ((task.images - low) / (high - low) * 255).astype("uint8")
    task = ktt.Examples(images, task.labels)
    return export(make_net(), tmp_path, from_pixels=True), task


@pytest.fixture
def features(make_net, make_task, tmp_path):
    """The tail of a net, and features of images."""
    model, result = export(make_net(), tmp_path, criterion="tinytrain")
    task = make_task(way=WAY)
    blob = read_blob(result.blob.read_bytes())
    samples = device_samples(model, blob, task.images)
    return (model, result), ktt.Examples(samples, task.labels)


def export(net, folder, **options):
    model = ktt.wrap(net)
    costs = ktt.layer_costs(model, way=WAY, first="stem")
    memory = costs.memory_bytes({c.name: c.channels for c in costs}) // 2
    if not options.get("from_pixels"):
        memory //= 2
    budget = ktt.Budget(memory, macs=sum(cost.macs for cost in costs))
    options = {"budget": budget, "max_way": WAY} | options
    return model, ktt.export_micro(model, folder, **options)


def learn(device, task, steps=4):
    """Returns all that a device says while it learns."""
    pairs = [*zip(task.images, task.labels)]
    for sample, label in pairs:
        device.observe(sample, label)
    for sample, label in pairs:
        device.score(sample, label)
    channels = device.select()
    device.plan(channels)
    losses = device.train(task.images, task.labels, steps=steps)
    device.settle(task.images, task.labels)
    return channels, losses, predict(device, task)


def predict(device, task):
    return np.stack([device.predict(x) for x in task.images])


def check_same(found, expected):
    channels, losses, logits = found
    assert list(channels) == list(expected[0])
    for name, chosen in expected[0].items():
        np.testing.assert_array_equal(channels[name], chosen)
    assert losses == expected[1]
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(logits, expected[2])


def connect(line, result, **options):
    options = {"learning_rate": RATE} | options
    return SerialDevice(result.blob, line, **options)


@pytest.mark.parametrize("kept", [0, 5, 12])
@pytest.mark.parametrize("kind", ["pixels", "features"])
def test_it_does_what_the_engine_does(library, kind, kept, request):
    """To the bit; samples that are kept cross the line once."""
    (_, result), task = request.getfixturevalue(kind)
    engine = ktt.micro.Engine(result.blob, learning_rate=RATE)
    expected = learn(engine, task)
    size = task.images[0].size * (1 if kind == "pixels" else 4)
    sizes = *ENOUGH[:3], kept * size, ENOUGH[4]
    line = Line(library, result.blob.read_bytes(), sizes)
    device = connect(line, result)
    check_same(learn(device, task), expected)
    calls = 2 + 4 + 1 + 1  # Observed, scored, trained, revisited, asked.
    most = kept + (12 - kept) * calls
    assert device.sent_bytes == len(line.sent)
    assert most * size < len(line.sent) < most * size * 1.2 + 12 * calls * 30
    assert device.repeated == 0


@pytest.mark.parametrize("seed", range(6))
def test_a_bad_line_changes_nothing(library, program, pixels, seed):
    """Every request is done once, and the sanitizers see the same bytes."""
    (_, result), task = pixels
    engine = ktt.micro.Engine(result.blob, learning_rate=RATE)
    blob = result.blob.read_bytes()
    sizes = *ENOUGH[:3], [0, 768 * 8][seed % 2], ENOUGH[4]
    line = Line(library, blob, sizes)
    device = connect(BadLine(line, seed, 0.1), result)
    check_same(learn(device, task), learn(engine, task))
    assert device.repeated > 5
    answers = FrameReader()
    frames = answers.take(
        session_library.play_back(program, result.blob, sizes, bytes(line.sent))
    )
    assert answers.refused == 0
    assert sum(frame.type == 0x80 for frame in frames) > 0
    last = np.frombuffer(frames[-1].payload[16:], "<f4")
    np.testing.assert_array_equal(last, device.predict(task.images[-1]))


def test_the_seeds_of_the_fuzzer_are_a_whole_life(program):
    fuzz = session_library.HERE / "fuzz"
    data = (fuzz / "serial_seeds" / "line").read_bytes()[1:]
    blob = fuzz / "seeds" / "block.ttnb"
    sent = FrameReader().take(data)
    found = session_library.play_back(
        program, blob, (*ENOUGH[:3], 1000, 2000), data
    )
    answers = FrameReader().take(found)
    assert [a.type - 0x80 for a in answers] == [f.type for f in sent]
    assert {f.type & 0x3F for f in sent} == {*range(1, 16)}
    assert all(a.payload[:4] == bytes(4) for a in answers)


def test_what_was_stored_is_there_after_a_new_start(library, pixels):
    (_, result), task = pixels
    line = Line(library, result.blob.read_bytes())
    assert line.restore() == -10  # Neither slot holds any.
    device = connect(line, result)
    assert not device.predicts
    assert not device.lasts
    _, _, logits = learn(device, task)
    device.save()
    # Another host: forgets, learns anew what was saved.
    second = connect(line, result)
    assert second.predicts
    np.testing.assert_array_equal(predict(second, task), logits)
    second.begin_scoring()
    second.observe(task.images[0], 0)
    assert np.ptp(predict(second, task) - logits) > 0.01
    second.load()
    np.testing.assert_array_equal(predict(second, task), logits)
    two = connect(line, result, classes=2)
    with pytest.raises(EngineError, match=r"load: .* classes"):
        two.load()
    assert line.restore() == 0
    third = connect(line, result)
    assert third.about["classes"] == WAY
    np.testing.assert_array_equal(predict(third, task), logits)


def test_a_plan_of_the_host(library, pixels):
    """Also in front of all samples."""
    (_, result), task = pixels
    plan = {"expand": [1, 5], "last": [0, 2, 3]}
    line = Line(library, result.blob.read_bytes())
    device = connect(line, result)
    engine = ktt.micro.Engine(result.blob, learning_rate=RATE)
    found = []
    for each in (device, engine):
        each.plan(plan)
        for sample, label in zip(task.images, task.labels):
            each.observe(sample, label)
        found.append(each.train(task.images, task.labels, steps=3))
    assert found[0] == found[1]


class TestRefusals:
    @pytest.fixture
    def line(self, library, pixels):
        (_, result), _ = pixels
        return Line(library, result.blob.read_bytes())

    @pytest.fixture
    def device(self, line, pixels):
        return connect(line, pixels[0][1])

    def test_calls_out_of_turn(self, device):
        with pytest.raises(EngineError, match="another call first") as caught:
            device.update()
        assert caught.value.reason == "wrong_state"

    def test_a_request_that_is_too_long(self, library, pixels):
        (_, result), task = pixels
        sizes = *ENOUGH[:2], 700, *ENOUGH[3:]
        line = Line(library, result.blob.read_bytes(), sizes)
        device = connect(line, result)
        with pytest.raises(EngineError) as caught:
            device.observe(task.images[0], 0)
        error = caught.value
        assert error.reason == "region_too_small"
        numbers = error.requested, error.available, error.missing
        assert numbers == (768, 700, 68)

    def test_a_sample_that_does_not_fit_as_floats(self, library, pixels):
        (_, result), task = pixels
        sizes = *ENOUGH[:2], 3071, *ENOUGH[3:]
        line = Line(library, result.blob.read_bytes(), sizes)
        device = connect(line, result)
        with pytest.raises(EngineError) as caught:
            device.observe(task.images[0], 0)
        assert (caught.value.requested, caught.value.missing) == (3072, 1)

    def test_regions_that_are_too_small(self, library, pixels):
        (_, result), task = pixels
        sizes = 100, *ENOUGH[1:]
        line = Line(library, result.blob.read_bytes(), sizes)
        with pytest.raises(EngineError, match=r"100, .* are missing"):
            connect(line, result).observe(task.images[0], 0)

    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            (Frame(2, 1, WAY, b"abc"), -3),  # No rate.
            (Frame(2, 1, 1, bytes(4)), -3),  # One class.
            (Frame(2, 1, WAY, b"\xff" * 4), -3),  # A rate that is none.
            (Frame(4, 1, 1, b"x"), -3),  # Keep in front of place 0.
            (Frame(4, 1, 0, b""), -3),
            (Frame(4, 1, 0, b"x"), -1),  # There is no room.
            (Frame(5, 1, 0, b"x"), -3),  # No sample.
            (Frame(0x45, 1, 0, b"\0\0"), -3),  # None was kept.
            (Frame(0x45, 1, 0, b"\0"), -3),
            (Frame(5, 1, 0, bytes(768)), -9),
            (Frame(7, 1), -9),
            (Frame(8, 1, 0, b""), -3),  # No lists.
            (Frame(8, 1, 0, b"\xff" * 10), -3),
            (Frame(8, 1, 0, bytes(10) + b"xx"), -3),
            (Frame(10, 1), -9),
            (Frame(13, 1, 0, bytes(768)), -9),
            (Frame(14, 1), -9),
            (Frame(15, 1), -9),
            (Frame(16, 1), -12),
            (Frame(63, 1), -12),
        ],
    )
    def test_requests_that_are_none(self, line, device, frame, code):
        line.write(frame.encode())
        (answer,) = FrameReader().take(line.read(0.0))
        assert answer.type == frame.type | 0x80
        assert answer.number == 1
        assert int.from_bytes(answer.payload[:4], "little", signed=True) == code

    def test_another_export(self, line, make_net, tmp_path):
        _, result = export(make_net(seed=1), tmp_path, from_pixels=True)
        with pytest.raises(ValueError, match="compile the sketch"):
            connect(line, result)

    def test_nobody_there(self, pixels):
        class Silence:
            def read(self, seconds):
                return b""

            def write(self, data):
                pass

        (_, result), _ = pixels
        with pytest.raises(TimeoutError, match="within 3 s, 6 times"):
            connect(Silence(), result)


def test_samples_are_those_of_keras(features, make_task):
    """Through prefix and tail: what the device predicts is what Keras does."""
    (model, result), task = features
    engine = ktt.micro.Engine(result.blob, learning_rate=RATE)
    channels, _, logits = learn(engine, task)
    images = make_task(way=WAY)
    costs = ktt.layer_costs(model, way=WAY, first=engine.layers[0])
    ktt.apply_plan(model, ktt.selection.make_plan(channels, costs, "test"))
    ktt.load_checkpoint(model, checkpoint(engine, result))
    expected = model.predict(images.images, verbose=0)
    np.testing.assert_allclose(logits, expected, atol=2e-3)


def checkpoint(engine, result):
    path = result.blob.with_suffix(".ttck")
    engine.save(path)
    return path


def test_another_model_has_other_features(features, make_net, make_task):
    (_, result), _ = features
    blob = read_blob(result.blob.read_bytes())
    other = ktt.wrap(make_net(seed=5))
    with pytest.raises(ValueError, match="Expected the model that was"):
        device_samples(other, blob, make_task().images)
