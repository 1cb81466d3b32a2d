"""Trains the sex of a penguin from four body measures.

    pip install -r requirements.txt && python train.py

Reads data/penguins.csv.gz. Writes model/model.onnx, its card model/model.toml, and in
tests/golden.jsonl.gz the answers that the function must repeat.
"""

import csv
import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import onnxruntime
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import accuracy_score, recall_score
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score, train_test_split

ROOT = Path(__file__).resolve().parent.parent
SEED = 0
DECIMALS = {"bill_length_mm": 1, "bill_depth_mm": 1, "flipper_length_mm": 0, "body_mass_g": 0}
FIELDS = list(DECIMALS)
LABELS = ["FEMALE", "MALE"]
TREES = 64
GOLDEN_ROWS = 500

CARD = """\
name = "penguins"
version = "1.0.0"
description = "Tells the sex of an Adelie, chinstrap or gentoo penguin from four body measures: {trees} extremely randomised trees."
file = "model.onnx"
sha256 = "{sha256}"
labels = {labels}
licence = "CC0-1.0"

[[inputs]]
name = "features"  # {fields}
type = "float32"
shape = [-1, 4]

[[outputs]]
name = "probabilities"
type = "float32"
shape = [-1, 2]

[data]
source = "palmerpenguins 0.1.6, penguins.csv: the rows with all four measures and the sex"
licence = "CC0-1.0"
citation = "Gorman KB, Williams TD, Fraser WR (2014). PLoS ONE 9(3): e90081. https://doi.org/10.1371/journal.pone.0090081"
rows_train = {rows_train}
rows_test = {rows_test}

[metrics]
{metrics}

[profile]
{profile}
{fields_profile}"""


def read():
    """The measures and labels of the penguins that have them all."""
    with gzip.open(ROOT / "data/penguins.csv.gz", "rt") as file:
        rows = [row for row in csv.DictReader(file) if "NA" not in (row["sex"], *map(row.get, FIELDS))]
    x = np.array([[float(row[field]) for field in FIELDS] for row in rows])
    return x, np.array([LABELS.index(row["sex"].upper()) for row in rows])


def interpolate(x, count):
    """Made-up penguins, each at a random place between two of `x`."""
    random = np.random.default_rng(SEED)
    a, b = x[random.integers(len(x), size=(2, count))]
    x = a + random.random((count, 1)) * (b - a)
    return np.column_stack([column.round(places) for column, places in zip(x.T, DECIMALS.values())])


def export(model):
    """The ONNX graph; the class is the largest of its only output, the probabilities."""
    graph = convert_sklearn(
        model,
        name="penguins",
        initial_types=[("features", FloatTensorType([None, len(FIELDS)]))],
        options={"zipmap": False},
        target_opset={"": 17, "ai.onnx.ml": 3},
    )
    del graph.graph.output[0]  # the label
    forest = graph.graph.node[0]
    unused = [a for a in forest.attribute if a.name in ("nodes_hitrates", "nodes_missing_value_tracks_true")]
    for attribute in unused:
        forest.attribute.remove(attribute)
    return graph.SerializeToString()


def spread(name, column):
    """How a field is spread over the training data, in bins of about a tenth of the rows."""
    edges = np.unique(np.quantile(column, np.arange(1, 10) / 10, method="inverted_cdf"))
    counts = np.bincount(np.searchsorted(edges, column), minlength=len(edges) + 1)
    shares = ", ".join(f"{count / len(column):.4f}" for count in counts)
    return f'\n[[fields]]\nname = "{name}"\nedges = {edges.tolist()}\nshares = [{shares}]\n'


def toml(floats):
    return "\n".join(f'{key} = {value:.4f}' for key, value in floats.items())


def main():
    x, y = read()
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, stratify=y, random_state=SEED)
    model = ExtraTreesClassifier(TREES, min_samples_leaf=2, random_state=SEED)
    print(f"cross-validating on all {len(x)} penguins ...")
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=5, random_state=SEED)
    scores = cross_val_score(model, x, y, cv=folds, n_jobs=2)
    model.fit(x_train, y_train)
    predicted = model.predict(x_test)
    metrics = {
        "accuracy": accuracy_score(y_test, predicted),
        "macro_recall": recall_score(y_test, predicted, average="macro"),
        "cross_validated_accuracy": scores.mean(),
        "cross_validated_deviation": scores.std(),
    }

    onnx = export(model)
    made_up = interpolate(x_test, GOLDEN_ROWS - len(x_test))
    x_golden = np.concatenate([x_test, made_up])
    golden = model.predict_proba(x_golden)
    session = onnxruntime.InferenceSession(onnx)
    ours = session.run(["probabilities"], {"features": x_golden.astype(np.float32)})[0]
    difference = np.abs(ours - golden).max()
    assert (ours.argmax(axis=1) == golden.argmax(axis=1)).all() and difference < 1e-6, difference

    (ROOT / "model/model.onnx").write_bytes(onnx)
    shares = np.bincount(predicted, minlength=len(LABELS)) / len(predicted)
    (ROOT / "model/model.toml").write_text(CARD.format(
        trees=TREES,
        sha256=hashlib.sha256(onnx).hexdigest(),
        labels=json.dumps(LABELS),
        fields=", ".join(FIELDS),
        rows_train=len(x_train),
        rows_test=len(x_test),
        metrics=toml(metrics),
        profile=toml(dict(zip(LABELS, shares))),
        fields_profile="".join(map(spread, FIELDS, x_train.T)),
    ))
    with gzip.GzipFile(ROOT / "tests/golden.jsonl.gz", "wb", mtime=0) as file:
        for i, (row, probabilities) in enumerate(zip(x_golden.tolist(), golden)):
            line = {
                "request": dict(zip(FIELDS, row)),
                "prediction": LABELS[probabilities.argmax()],
                "probabilities": probabilities.round(8).tolist(),
                "origin": "held-out" if i < len(x_test) else "interpolated",
            }
            file.write((json.dumps(line) + "\n").encode())

    print(f"{len(x_train)} rows for training, {len(x_test)} held out")
    print(toml(metrics))
    print(f"model.onnx: {len(onnx)} bytes; differs from scikit-learn by at most {difference:.1e} on {len(golden)} rows")


if __name__ == "__main__":
    main()
