"""Compares int8 graphs with TensorFlow Lite running the same graph.

    python benchmarks/int8_agreement.py
    python benchmarks/int8_agreement.py --nets=mcunet --images=20

For each net, quantized here and as published, prints how many of all logits
are equal to the bit, the share of images with the same best class, and the
correlation: with the reference kernels, with TensorFlow Lite's own optimized
kernels, and with XNNPACK, which is its default. The last column is the
correlation with the float model.
"""

import numpy as np
import tensorflow as tf
from absl import app, flags

import keras_tinytrain as ktt
from keras_tinytrain.quantization.tflite import stored_input, write_tflite

FLAGS = flags.FLAGS
flags.DEFINE_list("nets", ["mcunet", "mobilenet_v2", "proxyless_nas"], "Nets.")
flags.DEFINE_string("dataset", "flowers", "Where the images are from.")
flags.DEFINE_integer("images", 200, "Images that are compared.")
flags.DEFINE_integer("representative", 100, "Images that give the scales.")

KINDS = {
    "reference": "BUILTIN_REF",
    "optimized": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "default": "AUTO",
}
ROW = "{:<14}{:<11}{:<11}{:>8}{:>9}{:>13}{:>13}".format


def load_images():
    """Returns images to calibrate on, and others to compare on."""
    dataset = ktt.datasets.load(FLAGS.dataset)
    count = FLAGS.representative + FLAGS.images
    shot = -(-count // 10)
    task = ktt.sample_episode(dataset, seed=0, way=10, shot=shot)
    order = np.random.default_rng(0).permutation(len(task.support))
    images = task.support.images[order]
    return images[: FLAGS.representative], images[-FLAGS.images :]


def interpret(content, stored, kind):
    """Returns the int8 outputs of TensorFlow Lite, `(n, classes)`."""
    kinds = tf.lite.experimental.OpResolverType
    interpreter = tf.lite.Interpreter(
        model_content=content,
        experimental_op_resolver_type=getattr(kinds, kind),
    )
    interpreter.allocate_tensors()
    start = interpreter.get_input_details()[0]["index"]
    end = interpreter.get_output_details()[0]
    found = []
    for image in stored:
        interpreter.set_tensor(start, image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(end["index"]).ravel())
    scale, zero_point = end["quantization"]
    return scale * (np.float32(found) - zero_point)


def compare(net, origin, model, plain, images):
    """Prints the rows of one model."""
    logits, real = model.predict(images), plain.predict(images)
    content, stored = write_tflite(model), stored_input(model, images)
    for name, kind in KINDS.items():
        other = interpret(content, stored, kind)
        same = np.mean(np.abs(logits - other) < 1e-3)
        top = np.mean(logits.argmax(-1) == other.argmax(-1))
        both = (
            np.corrcoef(logits.ravel(), x.ravel())[0, 1] for x in (other, real)
        )
        shares = f"{100 * same:.2f} %", f"{100 * top:.1f} %"
        cells = *shares, *(f"{value:.6f}" for value in both)
        print(ROW(net, origin, name, *cells), flush=True)


def main(_):
    """Compares all."""
    representative, images = load_images()
    print(f"{len(images)} images of {FLAGS.dataset}")
    heads = "Net,Scales,Kernels,Equal,Top-1,Correlation,With float"
    print(ROW(*heads.split(",")))
    for net in FLAGS.nets:
        plain = ktt.wrap(ktt.zoo.build(net, include_top=True))
        quantized = ktt.quantize(plain, representative)
        published = ktt.wrap(ktt.quantization.imagenet(net, include_top=True))
        compare(net, "own", quantized, plain, images)
        compare(net, "published", published, plain, images)


if __name__ == "__main__":
    app.run(main)
