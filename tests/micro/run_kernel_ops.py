"""Runs one-operator graphs in a wheel; in a process of its own.

    run_kernel_ops.py ABI CASES RESULTS

CASES is what `test_kernel_ops.py` has pickled: models and their inputs.
RESULTS gets, for each, the output or what the wheel said.
"""

import pickle
import sys
from pathlib import Path

from keras_tinytrain.micro.interpreter import captured, load_runtime
from keras_tinytrain.micro.library import load_operator

ARENA_BYTES = 2**20


def run(runtime, model, inputs):
    with captured() as said:
        try:
            interpreter = runtime.Interpreter.from_bytes(
                model, ["TinyTrain_RegisterKernels"], ARENA_BYTES
            )
            for i, values in enumerate(inputs):
                interpreter.set_input(values, i)
            interpreter.invoke()
            return interpreter.get_output(0).copy()
        except RuntimeError:
            pass
    return said[0]


def main(abi, cases, results):
    runtime, found = load_runtime()
    assert found == abi
    load_operator(abi)
    pairs = pickle.loads(Path(cases).read_bytes())
    outputs = [run(runtime, *pair) for pair in pairs]
    Path(results).write_bytes(pickle.dumps(outputs))


if __name__ == "__main__":
    main(*sys.argv[1:])
