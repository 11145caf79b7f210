"""A program on an emulated board behind a pseudo-terminal."""

from __future__ import annotations

import os
import subprocess
import threading
import tty
from pathlib import Path

import arm_board
from arm_board import Board

_CHUNK = 4096


class EmulatedPort:
    """Runs a program in QEMU; its `Serial` is the terminal `path`.

    Args:
        board: The board.
        program: What runs on it.
        damage: What happens to the bytes of each message to the board.
    """

    def __init__(self, board: Board, program: Path, damage=bytes) -> None:
        self._damage = damage
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        self.path = os.ttyname(self._theirs)
        self._process = subprocess.Popen(
            arm_board.command(board, program),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._threads = [
            threading.Thread(target=step, daemon=True)
            for step in (self._to_board, self._from_board)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> EmulatedPort:
        return self

    def __exit__(self, *_) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._theirs)
        for thread in self._threads:
            thread.join()
        os.close(self._ours)
        self._process.stdin.close()
        self._process.stdout.close()

    def _to_board(self) -> None:
        try:
            while data := os.read(self._ours, _CHUNK):
                self._process.stdin.write(self._damage(data))
        except OSError:
            pass  # The other end is closed, or the board has stopped.

    def _from_board(self) -> None:
        while data := os.read(self._process.stdout.fileno(), _CHUNK):
            os.write(self._ours, data)
