"""Shards jobs over processes of this machine."""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection
from typing import Any

from keras_tinytrain.evaluation.protocol import Job, Protocol

# More episodes than these are not a matter of single episodes.
MAX_FAILURES = 10
STOP_SECONDS = 5


def cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def run_jobs(
    jobs: Sequence[Job],
    protocol: Protocol,
    *,
    processes: int,
    note: Callable[[str], None],
) -> Iterator[dict[str, Any]]:
    """Runs jobs in worker processes, which start afresh and end with this.

    An episode whose worker dies is given to another one, once. A worker that
    refuses an episode goes on with the next.

    Args:
        jobs: The jobs, which are started in this order.
        protocol: What they share.
        processes: Number of workers.
        note: Called with each thing that went wrong.

    Yields:
        The records, in the order in which they are done.

    Raises:
        RuntimeError: After all others, if some episodes could not be run.
    """
    waiting = collections.deque(jobs)
    died: set[Job] = set()
    failures: list[str] = []
    workers: list[_Process] = []
    try:
        while (waiting or workers) and len(failures) < MAX_FAILURES:
            while waiting and len(workers) < processes:
                workers.append(_Process(protocol, waiting.popleft()))
            for worker in _ready(workers):
                job = worker.job
                kind, result = worker.receive()
                if kind == "died" or not waiting:
                    workers.remove(worker)
                    worker.stop()
                else:
                    worker.give(waiting.popleft())
                if kind == "record":
                    yield result
                elif kind == "died" and job not in died:
                    died.add(job)
                    waiting.appendleft(job)
                    note(f"A worker {result}; again: {job.key}")
                else:
                    failures.append(f"{job.key}: {result}")
                    note(f"Failed: {failures[-1]}")
    finally:
        for worker in workers:
            worker.stop()
    if failures:
        raise RuntimeError(
            f"Expected every episode to run. Received: {len(failures)} that "
            f"did not, with {len(waiting)} not tried. The others are "
            f"recorded. First: {failures[0]}"
        )


def _ready(workers: list[_Process]) -> list[_Process]:
    pipes = connection.wait([worker.pipe for worker in workers])
    return [worker for worker in workers if worker.pipe in pipes]


class _Process:
    """A worker process and the job it has."""

    def __init__(self, protocol: Protocol, job: Job) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(theirs, protocol), daemon=True
        )
        with _deaf_to_interrupts(), _quiet_tensorflow():
            self.process.start()
        theirs.close()  # So that the end of the worker ends the pipe.
        self.give(job)

    def give(self, job: Job) -> None:
        """Sends a job."""
        self.job = job
        # A worker that has died is found when its answer is waited for.
        with contextlib.suppress(ConnectionError):
            self.pipe.send(job)

    def receive(self) -> tuple[str, Any]:
        """Returns the kind of the answer, and the answer."""
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join(STOP_SECONDS)
            return "died", f"died with exit code {self.process.exitcode}"

    def stop(self) -> None:
        """Ends the process."""
        self.pipe.close()
        self.process.terminate()
        self.process.join(STOP_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Starts processes that Ctrl-C, sent to all, does not reach."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # Only the main thread may.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _quiet_tensorflow() -> Iterator[None]:
    """Starts processes that do not each greet the user with a page of log."""
    name = "TF_CPP_MIN_LOG_LEVEL"
    before = os.environ.get(name)
    os.environ.setdefault(name, "2")
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


def _serve(pipe: connection.Connection, protocol: Protocol) -> None:
    """Answers jobs until the other end is gone."""
    from keras_tinytrain.evaluation.worker import Worker, limit_threads

    limit_threads()
    worker = Worker(protocol)
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            job = pipe.recv()
            try:
                answer = "record", worker.run(job)
            except Exception as error:
                answer = "failed", f"{type(error).__name__}: {error}"
            pipe.send(answer)
