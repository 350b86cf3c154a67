"""Train a gradient-boosted classifier and write it as ONNX: the same bytes each time."""

import json

import numpy as np
import onnx
import pyarrow.parquet as pq
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import GradientBoostingClassifier

import custody

LABEL = "employed"
KEY = "id"

table = pq.read_table(custody.input("train"))
features = [name for name in table.column_names if name not in (LABEL, KEY)]
x = np.column_stack([table[name].to_numpy(zero_copy_only=False).astype(np.float32) for name in features])
y = table[LABEL].to_numpy()

model = GradientBoostingClassifier(
    n_estimators=custody.parameter("trees"),
    max_depth=custody.parameter("depth"),
    learning_rate=custody.parameter("learning_rate"),
    subsample=custody.parameter("subsample"),
    random_state=custody.parameter("seed"),
)
model.fit(x, y)
custody.log_metric("train_rows", len(y))
custody.log_metric("train_accuracy", model.score(x, y))

graph = to_onnx(
    model,
    name="employment",
    initial_types=[("features", FloatTensorType([None, len(features)]))],
    options={id(model): {"zipmap": False}},
)
folder = custody.output("model")
(folder / "model.onnx").write_bytes(graph.SerializeToString(deterministic=True))
(folder / "features.json").write_text(json.dumps({"features": features, "label": LABEL}, indent=2) + "\n")
onnx.checker.check_model(graph)
print(f"trained on {len(y)} rows, {len(features)} features")
