"""Trains the forest cover type of a 30 x 30 m cell from its map.

    pip install -r requirements.txt && python train.py     # under a minute

Reads data/{train,test}.csv.gz. Writes model/model.onnx, its card model/model.toml, the codes of the
categories in model/categories.toml, and in tests/golden.jsonl.gz the answers that the function must
repeat.

Three trees grown to the end on all rows are as right as hundreds of boosted ones, answer in
microseconds and load fast. Sums and differences of distances help them most: a tree cuts along one
feature at a time and cannot add. They are made inside the graph, by one multiplication.
"""

import csv
import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, recall_score

ROOT = Path(__file__).resolve().parent.parent
SEED = 42
TREES = 3
GOLDEN_ROWS = 1000
NUMBERS = [
    "elevation",
    "aspect",
    "slope",
    "horizontal_distance_to_hydrology",
    "vertical_distance_to_hydrology",
    "horizontal_distance_to_roadways",
    "hillshade_9am",
    "hillshade_noon",
    "hillshade_3pm",
    "horizontal_distance_to_fire_points",
]
CATEGORIES = ["wilderness_area", "soil_type"]
FIELDS = NUMBERS + CATEGORIES
LABELS = [
    "Spruce/Fir",
    "Lodgepole Pine",
    "Ponderosa Pine",
    "Cottonwood/Willow",
    "Aspen",
    "Douglas-fir",
    "Krummholz",
]
DERIVED = [
    {"elevation": 1, "vertical_distance_to_hydrology": -1},  # the height of the nearest water
    {"horizontal_distance_to_hydrology": 1, "horizontal_distance_to_fire_points": 1},
    {"horizontal_distance_to_hydrology": 1, "horizontal_distance_to_fire_points": -1},
    {"horizontal_distance_to_hydrology": 1, "horizontal_distance_to_roadways": 1},
    {"horizontal_distance_to_hydrology": 1, "horizontal_distance_to_roadways": -1},
    {"horizontal_distance_to_fire_points": 1, "horizontal_distance_to_roadways": 1},
    {"horizontal_distance_to_fire_points": 1, "horizontal_distance_to_roadways": -1},
]

CARD = """\
name = "covertype"
version = "1.0.0"
description = "Tells the forest cover type of a 30 x 30 m cell from its map: {trees} decision trees."
file = "model.onnx"
sha256 = "{sha256}"
labels = {labels}  # Cover_Type 1 to 7 in the data
licence = "LicenseRef-Covertype"

# The columns: {fields}.
# The last two are codes: places in the lists of categories.toml, from 0.
[[inputs]]
name = "features"
type = "float32"
shape = [-1, 12]

[[outputs]]
name = "probabilities"
type = "float32"
shape = [-1, 7]

[data]
source = "UCI Covertype, with wilderness area and soil type as names; see data/LICENSE.md"
licence = "Reuse of this database is unlimited with retention of copyright notice for Jock A. Blackard and Colorado State University."
citation = "Blackard JA, Dean DJ (1999). Computers and Electronics in Agriculture 24(3): 131-151. https://doi.org/10.1016/S0168-1699(99)00046-0"
rows_train = {rows_train}
rows_test = {rows_test}

[metrics]
{metrics}

[profile]
{profile}
{fields_profile}"""


def read(name):
    """The requests in a file, and their labels, which count from 1 there."""
    with gzip.open(ROOT / "data" / name, "rt") as file:
        rows = csv.reader(file)
        assert [column.lower() for column in next(rows)] == [*FIELDS, "cover_type"]
        rows = list(rows)
    requests = [dict(zip(FIELDS, [*map(int, row[:10]), *row[10:12]])) for row in rows]
    return requests, np.array([int(row[12]) - 1 for row in rows])


def encode(requests, categories):
    """The rows that the graph takes."""
    codes = {field: {name: code for code, name in enumerate(names)} for field, names in categories.items()}
    columns = [[request[field] for request in requests] for field in NUMBERS]
    columns += [[codes[field][request[field]] for request in requests] for field in CATEGORIES]
    return np.array(columns, dtype=np.float32).T


def widening():
    """The matrix that appends the derived features to a row; on whole numbers it is exact."""
    derived = [[weights.get(field, 0) for weights in DERIVED] for field in FIELDS]
    return np.hstack([np.eye(len(FIELDS)), derived]).astype(np.float32)


def export(model):
    """The ONNX graph; the class is the largest of its only output, the probabilities.

    It has the `TreeEnsemble` of ai.onnx.ml 5, which keeps inner nodes and leaves apart: a third of
    the size, and half of the time to load, of the older operators. Its leaves have one class each,
    and so have those of trees that are grown to the end.
    """
    features, thresholds, children, child_is_leaf, roots, leaf_classes = [], [], [], [], [], []
    for tree in (estimator.tree_ for estimator in model.estimators_):
        leaf = tree.children_left < 0
        assert (tree.impurity[leaf] == 0).all()
        place = np.where(leaf, len(leaf_classes) + leaf.cumsum(), len(features) + (~leaf).cumsum()) - 1
        pairs = np.stack([tree.children_left, tree.children_right])[:, ~leaf]
        roots.append(len(features))
        features.extend(tree.feature[~leaf].tolist())
        thresholds.append(tree.threshold[~leaf])
        children.append(place[pairs])
        child_is_leaf.append(leaf[pairs])
        leaf_classes.extend(tree.value[leaf, 0].argmax(axis=1).tolist())
    (if_true, if_false), (true_is_leaf, false_is_leaf) = np.hstack(children), np.hstack(child_is_leaf).astype(int)
    forest = helper.make_node(
        "TreeEnsemble",
        ["wide"],
        ["probabilities"],
        domain="ai.onnx.ml",
        aggregate_function=0,  # average
        n_targets=len(LABELS),
        tree_roots=roots,
        nodes_featureids=features,
        nodes_modes=numpy_helper.from_array(np.zeros(len(features), np.uint8)),  # less or equal
        nodes_splits=numpy_helper.from_array(round_down(np.concatenate(thresholds))),
        nodes_truenodeids=if_true.tolist(),
        nodes_trueleafs=true_is_leaf.tolist(),
        nodes_falsenodeids=if_false.tolist(),
        nodes_falseleafs=false_is_leaf.tolist(),
        leaf_targetids=leaf_classes,
        leaf_weights=numpy_helper.from_array(np.ones(len(leaf_classes), np.float32)),
    )
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["features", "widening"], ["wide"]), forest],
        "covertype",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, len(FIELDS)])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, len(LABELS)])],
        [numpy_helper.from_array(widening(), "widening")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 5)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString(deterministic=True)


def round_down(thresholds):
    """The largest 32-bit numbers not above `thresholds`: no 32-bit number changes sides."""
    rounded = thresholds.astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)


def spread(name, column):
    """How a field is spread over the training data: bins of about a tenth of the rows, or one for each value."""
    column = np.asarray(column)
    if column.dtype.kind == "U":
        values, counts = np.unique(column, return_counts=True)
        bins, counts = f"values = {json.dumps(values.tolist())}", [*counts, 0]
    else:
        edges = np.unique(np.quantile(column, np.arange(1, 10) / 10, method="inverted_cdf"))
        bins = f"edges = {edges.tolist()}"
        counts = np.bincount(np.searchsorted(edges, column), minlength=len(edges) + 1)
    shares = ", ".join(f"{count / len(column):.4f}" for count in counts)
    return f'\n[[fields]]\nname = "{name}"\n{bins}\nshares = [{shares}]\n'


def toml(floats):
    return "\n".join(f"{key} = {value:.4f}" for key, value in floats.items())


def main():
    print("reading ...")
    train, y_train = read("train.csv.gz")
    test, y_test = read("test.csv.gz")
    categories = {field: sorted({request[field] for request in train}) for field in CATEGORIES}
    x_train, x_test = encode(train, categories), encode(test, categories)

    print(f"growing {TREES} trees on {len(train)} rows ...")
    model = RandomForestClassifier(TREES, bootstrap=False, max_features=8, n_jobs=2, random_state=SEED)
    model.fit(x_train @ widening(), y_train)
    native = model.predict_proba(x_test @ widening())
    predicted = native.argmax(axis=1)
    metrics = {
        "accuracy": accuracy_score(y_test, predicted),
        "macro_recall": recall_score(y_test, predicted, average="macro"),
    }

    onnx = export(model)
    session = onnxruntime.InferenceSession(onnx)
    ours = session.run(["probabilities"], {"features": x_test})[0]
    difference = np.abs(ours - native).max()
    assert (ours.argmax(axis=1) == predicted).all() and difference < 1e-6, difference

    (ROOT / "model/model.onnx").write_bytes(onnx)
    (ROOT / "model/categories.toml").write_text(
        "# The code of a category is its place in its list, from 0.\n"
        + "".join(f"{field} = {json.dumps(names)}\n" for field, names in categories.items())
    )
    shares = np.bincount(predicted, minlength=len(LABELS)) / len(predicted)
    (ROOT / "model/model.toml").write_text(CARD.format(
        trees=TREES,
        sha256=hashlib.sha256(onnx).hexdigest(),
        labels=json.dumps(LABELS),
        fields=", ".join(FIELDS),
        rows_train=len(train),
        rows_test=len(test),
        metrics=toml(metrics),
        profile=toml(dict(zip(map(json.dumps, LABELS), shares))),
        fields_profile="".join(spread(field, [request[field] for request in train]) for field in FIELDS),
    ))
    with gzip.GzipFile(ROOT / "tests/golden.jsonl.gz", "wb", mtime=0) as file:
        for request, probabilities in list(zip(test, native))[:GOLDEN_ROWS]:
            line = {
                "request": request,
                "prediction": LABELS[probabilities.argmax()],
                "probabilities": probabilities.round(8).tolist(),
            }
            file.write((json.dumps(line) + "\n").encode())

    print(f"{len(train)} rows for training, {len(test)} held out")
    print(toml(metrics))
    print(f"model.onnx: {len(onnx)} bytes; differs from scikit-learn by at most {difference:.1e} on {len(test)} rows")


if __name__ == "__main__":
    main()
