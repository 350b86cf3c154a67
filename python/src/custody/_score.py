"""Apply an ONNX model to data: what an ``evaluate`` step runs in its sandbox."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq

import custody

BATCH = 16_384


def main() -> None:
    """Read the inputs ``model`` and ``data``, write ``scores.parquet`` to the output ``scores``."""
    model = custody._place("INPUT", "model")
    features = json.loads((model / "features.json").read_text(encoding="utf-8"))["features"]
    table = pq.read_table(custody.input("data"), columns=features)
    columns = [table[name].to_numpy(zero_copy_only=False).astype(np.float32) for name in features]
    matrix = np.column_stack(columns) if columns else np.empty((0, 0), dtype=np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession((model / "model.onnx").read_bytes(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    scores = []
    for start in range(0, len(matrix), BATCH):
        outputs = session.run(None, {name: matrix[start : start + BATCH]})
        # Classifiers give labels and probabilities by class; the last output has the probabilities.
        probabilities = np.asarray(outputs[-1], dtype=np.float64)
        scores.append(probabilities[:, -1] if probabilities.ndim == 2 else probabilities)
    flat = np.clip(np.concatenate(scores) if scores else np.empty(0), 0.0, 1.0)
    pq.write_table(pa.table({"score": pa.array(flat, type=pa.float64())}), custody.output("scores") / "scores.parquet")
    print(f"scored {len(flat)} rows")


if __name__ == "__main__":
    main()
