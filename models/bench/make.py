"""Trains the models that `cargo xtask bench forest` times, and compiles one of each size with lleaves.

    python make.py FOLDER RELAPSE_RISK_MODEL_JSON

Writes rows.csv (1,000 rows of 75 features, a tenth of them missing, f32 numbers) and for each size lightgbm_SIZE.txt,
xgboost_SIZE.json, gbdt_SIZE.json (the trees of xgboost_SIZE in gbdt's own format; for `small` the model of this repository),
catboost_SIZE.json and catboost_SIZE.cbm, sklearn_SIZE.onnx (scikit-learn's HistGradientBoostingClassifier), and
lleaves_SIZE.so, if lleaves gets that far in two minutes. Files that are there stay.
"""

import json
import os
import subprocess
import sys
import time

import catboost
import lightgbm
import numpy as np
import skl2onnx
import sklearn.ensemble
import xgboost

FEATURES = 75
# Seconds that lleaves may take for one model.
PATIENCE = int(os.environ.get("LLEAVES_PATIENCE", "120"))
# Trees, leaves and depth: the shape of the repository's own models, and the two that people ask for.
SIZES = {"small": (49, 16, 4), "medium": (400, 31, 5), "large": (1000, 127, 0)}


def data(rng, rows):
    x = rng.normal(size=(rows, FEATURES)).astype(np.float32).astype(np.float64)
    x[:, :20] = np.round(np.clip(x[:, :20] * 2 + 5, 0, 10))
    score = x[:, :10].sum(1) * 0.1 + np.sin(x[:, 20] * 2) + x[:, 21] * x[:, 22] + (x[:, 23] > 0) * x[:, 24]
    y = (score - 0.1 * x[:, 5] * x[:, 25] + rng.normal(size=rows) > np.median(score)).astype(float)
    x[rng.random(x.shape) < 0.1] = np.nan
    return x, y


def gbdt_file(xgboost_file):
    """XGBoost's trees as `gbdt` would have saved them: its own loader misreads current files."""
    learner = json.load(open(xgboost_file))["learner"]
    base = float(learner["learner_model_param"]["base_score"].strip("[]"))
    trees = []
    for tree in learner["gradient_booster"]["model"]["trees"]:
        nodes = []
        for index, left in enumerate(tree["left_children"]):
            leaf = left == -1
            nodes.append(
                {
                    "index": index,
                    "left": 0 if leaf else left,
                    "right": 0 if leaf else tree["right_children"][index],
                    "value": {
                        "feature_index": tree["split_indices"][index],
                        "feature_value": tree["split_conditions"][index],
                        "is_leaf": leaf,
                        "missing": -1 if tree["default_left"][index] else 1,
                        "pred": tree["split_conditions"][index] if leaf else 0.0,
                    },
                }
            )
        trees.append({"feature_sample_ratio": 1.0, "feature_size": FEATURES, "loss": "SquaredError", "max_depth": 64,
                      "min_leaf_size": 1, "tree": {"tree": nodes}})
    return {"bias": float(np.float32(-np.log(1 / base - 1))), "conf": conf(len(trees)), "trees": trees}


def compile_with_lleaves(model, compiled, shared):
    """A process of its own: LLVM cannot be interrupted from Python."""
    code = "import lleaves, sys; lleaves.Model(model_file=sys.argv[1]).compile(cache=sys.argv[2], raw_score=True)"
    start = time.time()
    try:
        subprocess.run([sys.executable, "-c", code, model, compiled], check=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        print(f"    lleaves did not finish within {PATIENCE} s (LLEAVES_PATIENCE sets how long to wait)", flush=True)
        return
    subprocess.run(["gcc", "-shared", "-o", shared, compiled], check=True)
    print(f"    compiled in {time.time() - start:.0f} s", flush=True)


def train_catboost(x, y, trees, leaves, depth, file):
    """Symmetric trees, CatBoost's default, of as many leaves as the others have, rounded up."""
    shape = {"depth": depth or (leaves - 1).bit_length(), "iterations": trees, "learning_rate": 0.05}
    model = catboost.CatBoostClassifier(**shape, allow_writing_files=False, random_seed=7, thread_count=2, verbose=False)
    model.fit(x, y).save_model(f"{file}.cbm")
    model.save_model(f"{file}.json", format="json")


def train_sklearn(x, y, trees, leaves, file):
    model = sklearn.ensemble.HistGradientBoostingClassifier(
        max_iter=trees, max_leaf_nodes=leaves, learning_rate=0.05, early_stopping=False, random_state=7
    )
    onnx = skl2onnx.to_onnx(model.fit(x, y), x[:1].astype(np.float32), options={"zipmap": False}, target_opset={"": 18, "ai.onnx.ml": 3})
    open(file, "wb").write(onnx.SerializeToString())


def conf(trees):
    return {"data_sample_ratio": 1.0, "debug": False, "feature_sample_ratio": 1.0, "feature_size": FEATURES,
            "initial_guess_enabled": False, "iterations": trees, "loss": "SquaredError", "max_depth": 64,
            "min_leaf_size": 1, "shrinkage": 1.0, "training_optimization_level": 2}


def main(folder, ours):
    os.makedirs(folder, exist_ok=True)
    rng = np.random.default_rng(7)
    x, y = data(rng, 20_000)
    path = lambda name: os.path.join(folder, name)
    np.savetxt(path("rows.csv"), data(rng, 1_000)[0], delimiter=",", fmt="%.9g")
    for size, (trees, leaves, depth) in SIZES.items():
        file = path(f"lightgbm_{size}.txt")
        if not os.path.exists(file):
            print(f"    {size}: training {trees} trees with LightGBM", flush=True)
            parameters = {"objective": "binary", "num_leaves": leaves, "learning_rate": 0.05, "min_data_in_leaf": 5, "verbosity": -1}
            lightgbm.train(parameters, lightgbm.Dataset(x, y), trees).save_model(file)
        if not os.path.exists(path(f"lleaves_{size}.so")):
            print(f"    {size}: compiling it with lleaves, for {PATIENCE} s at most", flush=True)
            compile_with_lleaves(file, path(f"lleaves_{size}.o"), path(f"lleaves_{size}.so"))
        xgboost_file = path(f"xgboost_{size}.json")
        if not os.path.exists(xgboost_file):
            print(f"    {size}: training {trees} trees with XGBoost", flush=True)
            parameters = {"objective": "binary:logistic", "eta": 0.05, "tree_method": "hist"}
            shape = {"max_depth": depth} if depth else {"grow_policy": "lossguide", "max_leaves": leaves, "max_depth": 0}
            xgboost.train({**parameters, **shape}, xgboost.DMatrix(x, y), trees).save_model(xgboost_file)
        file = path(f"catboost_{size}")
        if not os.path.exists(f"{file}.json"):
            print(f"    {size}: training {trees} trees with CatBoost", flush=True)
            train_catboost(x, y, trees, leaves, depth, file)
        file = path(f"sklearn_{size}.onnx")
        if not os.path.exists(file):
            print(f"    {size}: training {trees} trees with scikit-learn", flush=True)
            train_sklearn(x, y, trees, leaves, file)
        if size == "small":
            model = json.load(open(ours))
            # Margins rather than probabilities, as the others are timed.
            model["conf"]["loss"] = "SquaredError"
        else:
            model = gbdt_file(xgboost_file)
        json.dump(model, open(path(f"gbdt_{size}.json"), "w"))


if __name__ == "__main__":
    main(*sys.argv[1:])
