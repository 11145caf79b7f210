"""`weights="meta"` from a file in the package to a page of the report.

No file ships in every version, so the test makes them; and stands in for the
weights trained on ImageNet, which not every machine has, with random ones.
"""

import csv
import json

import keras
import pytest
from evaluation_sources import save_images
from test_evaluation_scripts import finish, start

from keras_tinytrain import zoo
from keras_tinytrain.evaluation import read_records
from keras_tinytrain.meta import save_weights_file

NETS = ("mcunet", "mobilenet_v2", "proxyless_nas")
SIZE = 32

# Python runs this first in each process, those of the workers too.
PACKAGE = """
import pathlib
from keras_tinytrain.zoo import blocks, shipped
shipped.FOLDER = pathlib.Path({folder!r})
shipped.SHA256.update({digests!r})
blocks.load_imagenet = lambda model, name: None
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A Python path under which every net has meta-trained weights."""
    folder = tmp_path_factory.mktemp("package")
    digests = {}
    for seed, name in enumerate(NETS):
        keras.utils.set_random_seed(seed + 1)
        net = zoo.build(name, weights=None)
        dtype = ("float16", "int8")[seed % 2]
        path = folder / f"{name}.npz"
        digests[name] = save_weights_file(net, path, dtype=dtype)
    text = PACKAGE.format(folder=str(folder), digests=digests)
    (folder / "sitecustomize.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder), prepend=":")
        yield folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / "birds"
    return save_images(folder, count=14, size=SIZE)


def run(script, *flags):
    code, output, error = finish(start(script, *flags))
    assert code == 0, error
    return output


def test_what_ships_is_evaluated_and_reported(package, images, tmp_path):
    path = tmp_path / "records.jsonl"
    for weights in ("imagenet", "meta"):
        run(
            "evaluate.py",
            f"--records={path}",
            f"--nets={','.join(NETS)}",
            f"--weights={weights}",
            f"--datasets={images}",
            "--methods=none",
            *("--way=3", "--shot=2", "--episodes=2", f"--image_size={SIZE}"),
            *("--steps=2", "--processes=1"),
        )
    episodes = read_records(path).episodes
    assert len(episodes) == 2 * 3 * 2
    assert {(r["net"], r["weights"]) for r in episodes} == {
        (net, weights) for net in NETS for weights in ("imagenet", "meta")
    }
    folder = tmp_path / "report"
    run("report.py", f"--records={path}", f"--folder={folder}")
    for name in ("report.md", "report.html"):
        text = (folder / name).read_text()
        for net in NETS:
            assert f"What meta-training gains, {net}" in text
            assert f"Accuracy of {net}, meta-trained weights" in text
    text = (folder / "report.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert {(row["net"], row["weights"]) for row in rows} == {
        (net, weights) for net in NETS for weights in ("imagenet", "meta")
    }


def test_what_ships_is_adapted(package, images, tmp_path):
    output = run(
        "adapt.py",
        *("--net=mcunet", "--weights=meta", f"--image_size={SIZE}"),
        *(f"--dataset={images}", "--way=3", "--shot=2", "--tasks=1"),
        *("--methods=none,tinytrain", "--steps=2", "--json"),
        f"--figure={tmp_path / 'plan.png'}",
    )
    methods = json.loads(output.splitlines()[-1])["methods"]
    assert methods["tinytrain"]["trained_weights"] > 0
    assert (tmp_path / "plan.png").exists()
