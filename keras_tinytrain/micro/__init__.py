"""The device engine on this machine: `Engine`."""

from keras_tinytrain.micro.engine import Engine
from keras_tinytrain.micro.refusals import EngineError

__all__ = ["Engine", "EngineError"]
