"""Weights that come with the library: meta-trained, and hence `"meta"`."""

from pathlib import Path

import keras

from keras_tinytrain.zoo.weight_files import load_weights_file

FOLDER = Path(__file__).parent / "meta"

# Of the file of each net, which is called as the net. docs/meta_training.md
# says how a file comes to be here.
SHA256: dict[str, str] = {
    "mcunet": (
        "2c9aa688c19298b4b9f59a7f6751ea36f614042270214221bddfbc4bb39e1e59"
    ),
    "mobilenet_v2": (
        "06877b6fcec545b48abe329679f52fce0c68c90b8815abeb731a8111df3addde"
    ),
    "proxyless_nas": (
        "2af9820135413fada9a15083bb8cf4ce3159f8434c1551418b17ef23f42e5778"
    ),
}


def load_meta(model: keras.Model) -> None:
    """Sets the weights of a backbone to the meta-trained ones.

    Nothing is downloaded. A layer called "mix" is left alone.

    Args:
        model: A model of the zoo, without classifier.

    Raises:
        FileNotFoundError: If there are none for this net.
        ValueError: If the file is damaged.
    """
    path = FOLDER / f"{model.name}.npz"
    if model.name not in SHA256 or not path.is_file():
        known = ", ".join(sorted(SHA256)) or "no net yet"
        raise FileNotFoundError(
            "Expected a net that has meta-trained weights in this version, "
            f"which are: {known}. Received: {model.name!r}. Use "
            "weights='imagenet', and meta-train them (docs/meta_training.md)"
        )
    load_weights_file(model, path, sha256=SHA256[model.name])
