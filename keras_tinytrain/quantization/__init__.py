"""Int8 graphs: what a device computes, trainable.

Importing this makes int8 layers known to `wrap` (`masked`), to the device's
graph (`lowering`) and to Keras.
"""

from keras_tinytrain.quantization import lowering, masked
from keras_tinytrain.quantization.post_training import (
    quantize,
    quantize_prefix,
)
from keras_tinytrain.quantization.published import imagenet
from keras_tinytrain.quantization.saturation import (
    check_saturation,
    saturation,
)

__all__ = [
    "check_saturation",
    "imagenet",
    "lowering",
    "masked",
    "quantize",
    "quantize_prefix",
    "saturation",
]
