"""The device on this machine: `Engine`, and `Simulator` with TFLM."""

from keras_tinytrain.micro.engine import Engine
from keras_tinytrain.micro.refusals import EngineError
from keras_tinytrain.micro.simulator import Simulator

__all__ = ["Engine", "EngineError", "Simulator"]
