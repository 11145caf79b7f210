"""To the device and back: `export_micro` and checkpoints."""

from keras_tinytrain.export.checkpoint import load_checkpoint, save_checkpoint
from keras_tinytrain.export.micro import export_micro

__all__ = ["export_micro", "load_checkpoint", "save_checkpoint"]
