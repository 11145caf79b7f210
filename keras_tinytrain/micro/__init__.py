"""Devices: `Engine` and `Simulator` here, `SerialDevice` on a port."""

from keras_tinytrain.micro.engine import Engine
from keras_tinytrain.micro.refusals import EngineError
from keras_tinytrain.micro.serial_device import SerialDevice
from keras_tinytrain.micro.simulator import Simulator

__all__ = ["Engine", "EngineError", "SerialDevice", "Simulator"]
