"""A device whose memory is on this machine."""

from __future__ import annotations

import os

from keras_tinytrain.micro.device import Channels, Device
from keras_tinytrain.micro.slots import empty_slots, read_slots, write_first
from keras_tinytrain.plan import UpdatePlan


class LocalDevice(Device):
    """What can be asked, saved and loaded here. See `Engine`, `Simulator`."""

    def training_bytes(
        self, channels: Channels | UpdatePlan
    ) -> tuple[int, int]:
        """Returns the bytes of both regions that training channels takes."""
        counts, _, kinds = self._selection(channels)
        return self._handle.training_bytes(counts, kinds)

    def save(self, path: str | os.PathLike) -> None:
        """Writes what was learned, for `load` or `load_checkpoint`.

        Args:
            path: File of one checkpoint of docs/format.md.

        Raises:
            EngineError: If there is no plan or nothing was observed.
            OSError: If it cannot be written. What was in the file is safe.
        """
        slots = empty_slots(self._handle.persistent_bytes, len(self.layers))
        self._handle.call("save", slots, len(slots) // 2)
        write_first(slots, path)

    def load(self, path: str | os.PathLike) -> None:
        """Plans what a checkpoint has trained, and takes its weights.

        Args:
            path: A checkpoint, or both slots of a device one after the other.

        Raises:
            EngineError: If it is damaged, or of another model or number of
                classes, or if a region is too small, with the bytes. What was
                there stays.
        """
        slots = read_slots(path)
        self._handle.call("load", slots, len(slots) // 2)
        self._is_new = False
