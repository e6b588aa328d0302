"""Makes model.txt, which the sample of the README reads. Needs lightgbm 4.7.0 and numpy."""

import lightgbm
import numpy

random = numpy.random.default_rng(1)
rows = random.normal(size=(400, 3))
rows[random.random(rows.shape) < 0.1] = numpy.nan
labels = numpy.nan_to_num(rows[:, 0]) + numpy.nan_to_num(rows[:, 1]) * 0.5 > 0
data = lightgbm.Dataset(rows, labels, feature_name=["sleep", "energy", "routine"])
options = {"objective": "binary", "num_leaves": 4, "verbose": -1, "deterministic": True, "num_threads": 1}
model = lightgbm.train(options, data, num_boost_round=3)
model.save_model("model.txt")
row = numpy.array([[0.5, numpy.nan, -1.0]])
print(model.predict(row), model.predict(row, pred_contrib=True))
