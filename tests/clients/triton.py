"""NVIDIA's own client for Triton Inference Server, as its documentation uses it, against the address that is given."""

import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

client = triton.InferenceServerClient(sys.argv[1])
MODEL = "mood_state"

assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(MODEL)
assert not client.is_model_ready("nothing")
assert client.get_server_metadata()["name"] == "bipolar-edge"
metadata = client.get_model_metadata(MODEL)
assert client.is_model_ready(MODEL, metadata["versions"][0])
columns = metadata["inputs"][0]["shape"][1]
assert metadata["inputs"][0]["datatype"] == "FP64" and metadata["outputs"][0]["name"] == "probabilities"

index = client.get_model_repository_index()
assert {entry["name"] for entry in index} >= {MODEL} and all(entry["state"] == "READY" for entry in index), index
config = client.get_model_config(MODEL)
assert config["input"][0]["dims"] == [-1, columns] and config["output"][0]["name"] == "probabilities", config
assert client.get_inference_statistics(MODEL)["model_stats"][0]["name"] == MODEL
assert len(client.get_inference_statistics()["model_stats"]) == len(index)

generator = np.random.default_rng(7)
rows = generator.uniform(0, 10, (300, columns)).round(2)
rows[generator.uniform(size=rows.shape) < 0.1] = np.nan
rows[0, 0], rows[1, 1] = np.inf, -np.inf


def infer(rows, datatype, binary, outputs=None, **more):
    tensor = triton.InferInput("input", rows.shape, datatype)
    tensor.set_data_from_numpy(rows, binary_data=binary)
    wanted = outputs and [triton.InferRequestedOutput(name, binary_data=binary) for name in outputs]
    return client.infer(MODEL, [tensor], outputs=wanted, request_id="42", **more)


first = infer(rows, "FP64", True)
assert first.get_response()["id"] == "42"
probabilities, margin = first.as_numpy("probabilities"), first.as_numpy("margin")
assert probabilities.shape == margin.shape == (300, 4) and probabilities.dtype == np.float64
assert np.allclose(probabilities.sum(axis=1), 1) and len(np.unique(margin)) > 50
# The same numbers whichever way they are asked for, to the bit.
for datatype, binary in [("FP64", False), ("FP32", True), ("FP32", False)]:
    again = infer(rows.astype(np.float32 if datatype == "FP32" else np.float64), datatype, binary, ["margin"])
    assert again.as_numpy("probabilities") is None
    # What an f32 cannot be is another number: these models are of f32, and see the same.
    assert np.array_equal(again.as_numpy("margin"), margin), (datatype, binary)
one_by_one = np.concatenate([infer(rows[i : i + 1], "FP64", True).as_numpy("margin") for i in range(20)])
assert np.array_equal(one_by_one, margin[:20])
finite = np.where(np.isinf(rows[:50]), 1.0, rows[:50])
explained = infer(finite, "FP64", True, ["contributions", "margin"])
assert explained.as_numpy("contributions").shape == (50, 4, columns + 1)
assert np.allclose(explained.as_numpy("contributions").sum(axis=2), explained.as_numpy("margin"), atol=1e-4)
asked = infer(finite, "FP64", True, parameters={"contributions": True})
assert np.array_equal(asked.as_numpy("contributions"), explained.as_numpy("contributions"))

for algorithm in ["gzip", "deflate"]:
    more = {"request_compression_algorithm": algorithm, "response_compression_algorithm": algorithm}
    for binary in [True, False]:
        compressed = infer(rows, "FP64", binary, **more).as_numpy("margin")
        assert np.array_equal(compressed, margin), (algorithm, binary)

filled = triton.InferInput("input", [1, columns], "FP64")
filled.set_data_from_numpy(np.zeros((1, columns)))
for broken, word in [
    (lambda: infer(rows[:, 1:], "FP64", True), "shape"),
    (lambda: infer(rows.astype(np.int64), "INT64", True), "datatype must be FP32 or FP64, not INT64"),
    (lambda: client.infer(MODEL, [filled], outputs=[triton.InferRequestedOutput("margin", class_count=2)]), "classification"),
    (lambda: infer(rows, "FP64", True, ["label"]), "outputs[0].name"),
    (lambda: infer(rows, "FP64", True, ["contributions"]), "256 rows"),
    (lambda: client.get_model_metadata("nothing"), "models"),
]:
    try:
        broken()
    except InferenceServerException as error:
        assert word in error.message(), error
    else:
        raise AssertionError(f"no error of {word}")
print("all is well")
