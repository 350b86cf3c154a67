"""Train a model and write it as ONNX: equal data give equal bytes. It is yours now: change what you like.

It runs in the sandbox: it sees its inputs, its parameters (in `custody.yaml`) and the packages of
`requirements.lock`, and nothing else.
"""

import json

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import @Estimator@
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

import custody

LABEL = @LABEL@
# Columns that are no features. All others are: numbers as they are, texts as categories. A column that the model
# must not see, and that the evaluation compares as a group, is added here.
NOT_FEATURES = @NOT_FEATURES@

table = pq.read_table(custody.input("train"))
features = [field for field in table.schema if field.name not in NOT_FEATURES]
numbers = [field.name for field in features if pa.types.is_floating(field.type)]
texts = [field.name for field in features if not pa.types.is_floating(field.type)]


def column(name):
    """The values of a column; what is missing among numbers is not-a-number."""
    values = table[name].to_numpy(zero_copy_only=False)
    return (values if name in texts else values.astype(np.float32)).astype(object)


x = np.column_stack([column(name) for name in numbers + texts])
y = @Y@

# Missing numbers become the median; a category that was not seen in training is none of those that were.
prepare = []
if numbers:
    prepare.append(("numbers", SimpleImputer(strategy="median", keep_empty_features=True), list(range(len(numbers)))))
if texts:
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
    prepare.append(("texts", encoder, list(range(len(numbers), len(numbers) + len(texts)))))
model = Pipeline(
    [
        ("prepare", ColumnTransformer(prepare)),
        (
            "model",
            @Estimator@(
                n_estimators=custody.parameter("trees"),
                max_depth=custody.parameter("depth"),
                learning_rate=custody.parameter("learning_rate"),
                subsample=custody.parameter("subsample"),
                random_state=custody.parameter("seed"),
            ),
        ),
    ]
)
model.fit(x, y)
custody.log_metric("train_rows", len(y))
custody.log_metric("@SCORE@", model.score(x, y))

# The model file takes one matrix of numbers and one of texts; `features.json` says which columns go where.
inputs, types = {}, []
if numbers:
    inputs["numbers"] = numbers
    types.append(("numbers", FloatTensorType([None, len(numbers)])))
if texts:
    inputs["texts"] = texts
    types.append(("texts", StringTensorType([None, len(texts)])))
graph = to_onnx(model, name="model", initial_types=types@OPTIONS@)
onnx.checker.check_model(graph)
folder = custody.output("model")
(folder / "model.onnx").write_bytes(graph.SerializeToString(deterministic=True))
(folder / "features.json").write_text(json.dumps({"inputs": inputs}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
print(f"trained on {len(y)} rows: {len(numbers)} numbers, {len(texts)} categories")
