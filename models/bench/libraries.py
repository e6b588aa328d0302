"""Times CatBoost and ONNX Runtime as Python calls them, on one thread, on the models and rows that make.py wrote.

    python libraries.py FOLDER

Prints a line a figure, as forest-bench does: size, file, who, task, nanoseconds a row, of the fastest pass.
"""

import sys
import time

import catboost
import numpy as np
import onnxruntime


def fastest(rows, each):
    """Nanoseconds a row: the fastest of passes that take half a second together, after one that warms up."""
    each()
    begin, best, passes = time.perf_counter(), float("inf"), 0
    while passes < 5 or time.perf_counter() - begin < 0.5:
        start = time.perf_counter()
        each()
        best = min(best, (time.perf_counter() - start) * 1e9 / rows)
        passes += 1
    return best


def main(folder):
    rows = np.genfromtxt(f"{folder}/rows.csv", delimiter=",", dtype=np.float32)
    single = [rows[index : index + 1] for index in range(len(rows))]
    # Through Python a row takes tens of microseconds.
    some = single[:100]
    for size in ["small", "medium", "large"]:
        show = lambda file, who, task, took: print(size, file, who, task, took, sep="\t", flush=True)

        model = catboost.CatBoostClassifier().load_model(f"{folder}/catboost_{size}.cbm")
        one = lambda: [model.predict(row, prediction_type="RawFormulaVal", thread_count=1) for row in some]
        show("CatBoost", "CatBoost's Python package", "OneRow", fastest(len(some), one))
        each = lambda: model.predict(rows, prediction_type="RawFormulaVal", thread_count=1)
        show("CatBoost", "CatBoost's Python package", "AllRows", fastest(len(rows), each))
        # A pool for each row is part of asking.
        each = lambda: model.get_feature_importance(catboost.Pool(some[0]), type="ShapValues", thread_count=1)
        show("CatBoost", "CatBoost's Python package", "Explain", fastest(1, each))

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(f"{folder}/sklearn_{size}.onnx", options, ["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        one = lambda: [session.run(None, {name: row}) for row in some]
        show("scikit-learn", "ONNX Runtime's Python package", "OneRow", fastest(len(some), one))
        show("scikit-learn", "ONNX Runtime's Python package", "AllRows", fastest(len(rows), lambda: session.run(None, {name: rows})))


if __name__ == "__main__":
    main(*sys.argv[1:])
