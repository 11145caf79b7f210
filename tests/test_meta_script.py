"""Runs meta_train.py as a user does, and adapts what it made."""

import re
import resource

import keras
import numpy as np
import pytest
from evaluation_sources import save_images, save_net
from test_evaluation_scripts import finish, start

from keras_tinytrain.meta import load_weights_file


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    folder = tmp_path_factory.mktemp("meta")
    return [
        f"--net={save_net(folder / 'tiny.keras')}",
        f"--source={save_images(folder / 'birds')}",
        f"--validation={save_images(folder / 'fish', seed=1)}",
        "--validation_episodes=2",
        "--checkpoint_every=2",
        "--image_size=16",
        f"--folder={folder / 'run'}",
        "--recipe=episodes=4,way=3,shot=2,query=3,stored_size=20,"
        "optimizer=adam,styles.grey=0.5",
    ]


def test_a_net_is_trained_and_written(flags, tmp_path):
    folder = tmp_path / "run"
    code, output, error = finish(
        start("meta_train.py", *flags, f"--folder={folder}", "--dtype=int8")
    )
    assert code == 0, error
    assert "Traceback" not in error
    assert re.search(r"^Best validation accuracy: [\d.]+ %$", output, re.M)
    assert "Episode 2: validation " in error
    assert "s left" not in error  # No bar without a terminal.
    (net,) = folder.glob("*.keras")
    weights = net.with_suffix(".npz")
    digest = re.search(r"^Weights: .* sha256 (\w{64})$", output, re.M)[1]
    trained = keras.saving.load_model(net)
    kernel = trained.get_layer("stem").kernel.numpy()
    about = load_weights_file(trained, weights, sha256=digest)
    assert about["recipe"]["styles"] == {"grey": 0.5}
    assert about["source"] == "birds"
    stored = trained.get_layer("stem").kernel.numpy()
    np.testing.assert_allclose(stored, kernel, atol=np.abs(kernel).max() / 127)
    assert (stored != kernel).any()
    # The same again has nothing left to do, and keeps what there is.
    before = net.read_bytes()
    again = start("meta_train.py", *flags, f"--folder={folder}")
    room = net.stat().st_size - 1
    resource.prlimit(again.pid, resource.RLIMIT_FSIZE, (room, room))
    code, _, error = finish(again)
    assert code == 1
    assert "Goes on after episode 4" in error
    assert f"Expected to write '{net}'. Received: File too large" in error
    assert "Traceback" not in error
    assert net.read_bytes() == before
    assert list(folder.glob("*.keras")) == [net]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--recipe=ways=5", "Expected name=value with a name of the recipe"),
        ("--recipe=styles=0.5", "as styles.grey or one of batch, "),
        ("--recipe=way=9", "at least 9 classes"),
        ("more", "Expected flags only"),
    ],
)
def test_bad_flags_are_named(flags, flag, message):
    code, _, error = finish(start("meta_train.py", *flags, flag))
    assert code == 1
    assert message in error
    assert "Traceback" not in error
