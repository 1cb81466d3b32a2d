"""Trains whether a Spanish sentence is positive or negative.

    pip install -r requirements.txt && python train.py
    python train.py --failures feedback.csv                 # with what users corrected; compares, writes nothing
    python train.py --failures feedback.csv --out retrained

Reads data/{train,test}.csv.gz. Writes model/model.onnx, its card model/model.toml, and for the tests of
the function the answers that it must repeat, tests/golden.jsonl.gz. NOTES.md says why it is made so;
ngrams.py how a text becomes ids.
"""

import argparse
import csv
import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from scipy.sparse import csr_matrix, vstack
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, recall_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from ngrams import BUCKETS, ids

ROOT = Path(__file__).resolve().parent.parent
SEED = 0
CLASSES = ["negative", "positive"]
LABELS = ["Negativo", "Positivo"]
EMOJI = [  # subtitles have none
    "😡😠🤬😤😢😭😞😔😟🙁☹😣😖😫😩😱😨😰😥😓😒🙄😑😕😧😦🤮🤢😷🤕👎💔💩👿😾😿🖕❌",
    "😀😃😄😁😆😂🤣😊🙂😉😍🥰😘🤗🤩😎😋😇🥳👍👏🙌💪👌✌🙏🎉🎊❤♥💖💕💙💚💛💜🧡✨⭐🌟💯🔝✅☺",
]

CARD = """\
name = "sentiment"
version = "1.0.0"
description = "Tells whether a Spanish sentence is positive or negative: logistic regression on its n-grams."
file = "model.onnx"
sha256 = "{sha256}"
labels = {labels}
licence = "CC-BY-4.0"

# The ids of each text, as train/ngrams.py makes them, filled up with zeros.
[[inputs]]
name = "ids"
type = "int64"
shape = [-1, -1]

[[outputs]]
name = "probabilities"
type = "float32"
shape = [-1, 2]

[data]
source = "XED, Spanish projections of subtitles: joy and trust are positive; anger, disgust, fear and sadness negative"
licence = "CC-BY-4.0"
citation = "Öhman E, Pàmies M, Kajava K, Tiedemann J (2020). XED. COLING 2020. https://doi.org/10.18653/v1/2020.coling-main.575"
rows_train = {rows_train}
rows_test = {rows_test}

[metrics]
{metrics}

[profile]
{profile}
{fields_profile}"""


class Weights(TfidfTransformer):
    """TF-IDF, but an id that was never seen weighs nothing, as if it were not there."""

    def fit(self, x, y=None):
        super().fit(x)
        self.idf_[x.getnnz(axis=0) == 0] = 0
        return self


def read(name):
    """The texts in a file, and their labels."""
    with gzip.open(ROOT / "data" / name, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], np.array([CLASSES.index(row["label"]) for row in rows])


def matrix(rows):
    """A row of ones at its ids for each text."""
    ends = np.cumsum([0, *map(len, rows)])
    return csr_matrix((np.ones(ends[-1]), np.concatenate(rows), ends), shape=(len(rows), BUCKETS + 1))


def export(model):
    """The ONNX graph; the class is the largest of its only output, the probabilities.

    An id has two numbers, both 0 for the padding: what it adds to the score, and to the square of the
    length by which the score is divided.
    """
    weights, regression = model[0].idf_, model[1]
    table = np.column_stack([weights * regression.coef_[0], weights**2])
    constants = {
        "table": table.astype(np.float32),
        "axis": np.array([1]),
        "tiny": np.float32(1e-9).reshape(1),  # a text without ids has length 0 and score 0
        "spread": np.float32([[-0.5, 0.5]]),
        "bias": np.float32([-0.5, 0.5]) * regression.intercept_.astype(np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axis"], ["sums"], keepdims=0),
        helper.make_node("Split", ["sums"], ["score", "square"], axis=1),
        helper.make_node("Add", ["square", "tiny"], ["positive_square"]),
        helper.make_node("Sqrt", ["positive_square"], ["length"]),
        helper.make_node("Div", ["score", "length"], ["scaled"]),
        helper.make_node("Gemm", ["scaled", "spread", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "sentiment",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, [None, None])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, len(LABELS)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString(deterministic=True)


def spread(name, column):
    """How a field is spread over the training data, in bins of about a tenth of the rows; of a text, its length."""
    edges = np.unique(np.quantile(column, np.arange(1, 10) / 10, method="inverted_cdf"))
    counts = np.bincount(np.searchsorted(edges, column), minlength=len(edges) + 1)
    shares = ", ".join(f"{count / len(column):.4f}" for count in counts)
    return f'\n[[fields]]\nname = "{name}"\nedges = {edges.tolist()}\nshares = [{shares}]\n'


def toml(floats):
    return "\n".join(f"{key} = {value:.4f}" for key, value in floats.items())


def corrected(path, held_out):
    """The texts of an export of the feedback service (`/api/feedback/export`), and the labels that users expected.

    A text that is held out stays so. The export puts an apostrophe before what a spreadsheet would run.
    """
    with open(path, encoding="utf-8", newline="") as file:
        rows = [{key: cell.removeprefix("'") for key, cell in row.items()} for row in csv.DictReader(file)]
    rows = [row for row in rows if row["text"] and row["expected"] in LABELS and row["text"] not in held_out]
    return [row["text"] for row in rows], np.array([LABELS.index(row["expected"]) for row in rows], dtype=int)


def scores(y, predicted):
    return {
        "accuracy": accuracy_score(y, predicted),
        "macro_recall": recall_score(y, predicted, average="macro"),
    }


def answers(onnx, texts):
    """The probabilities that a graph gives for each text."""
    session = onnxruntime.InferenceSession(onnx)
    return np.concatenate([session.run(None, {"ids": np.array([ids(text)])})[0] for text in texts])


def compare(before, onnx, texts_test, y_test, texts_new, y_new):
    """Prints how well the committed model and the new one do."""
    print(f"{'':40}{'committed':>10}{'new':>10}")
    old, new = (scores(y_test, answers(model, texts_test).argmax(axis=1)) for model in (before, onnx))
    for score in old:
        print(f"{score + ' on what is held out':40}{old[score]:>10.4f}{new[score]:>10.4f}")
    old, new = ((answers(model, texts_new).argmax(axis=1) == y_new).mean() for model in (before, onnx))
    print(f"{'accuracy on what users corrected':40}{old:>10.4f}{new:>10.4f}  (the new one has seen it)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--failures", type=Path, metavar="CSV", help="train with what users corrected, and compare")
    parser.add_argument("--out", type=Path, default=None, metavar="DIR", help="write there, not over the committed model")
    args = parser.parse_args()
    texts_train, y_train = read("train.csv.gz")
    texts_test, y_test = read("test.csv.gz")
    texts_new, y_new = corrected(args.failures, set(texts_test)) if args.failures else ([], np.array([], dtype=int))
    if args.failures and not texts_new:
        raise SystemExit(f"{args.failures} has no text with an expected class: export inputs, and those with verdict down")
    texts_train, y_train = texts_train + texts_new, np.concatenate([y_train, y_new])
    print("counting n-grams ...")
    x_train, x_test, x_emoji = (
        matrix([ids(text) for text in texts]) for texts in (texts_train, texts_test, "".join(EMOJI))
    )
    y_emoji = np.repeat([0, 1], [len(emoji) for emoji in EMOJI])
    regression = LogisticRegression(
        C=10, class_weight={0: 1, 1: 1.3}, solver="liblinear", dual=True, max_iter=1000, random_state=SEED
    )
    model = make_pipeline(Weights(), regression)
    print(f"cross-validating on {len(texts_train)} texts ...")
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    cross_validated = cross_val_predict(model, x_train, y_train, cv=folds, n_jobs=2)
    model.fit(vstack([x_train, x_emoji]), np.concatenate([y_train, y_emoji]))
    native = model.predict_proba(x_test)
    predicted = native.argmax(axis=1)
    metrics = scores(y_test, predicted) | {"cross_validated_accuracy": accuracy_score(y_train, cross_validated)}

    onnx = export(model)
    ours = answers(onnx, texts_test)
    difference = np.abs(ours - native).max()
    assert (ours.argmax(axis=1) == predicted).all() and difference < 1e-6, difference

    if args.failures:
        compare((ROOT / "model/model.onnx").read_bytes(), onnx, texts_test, y_test, texts_new, y_new)
        if not args.out:
            print("nothing written; --out DIR writes model, card and golden rows")
            return
    write(args.out or ROOT, onnx, texts_train, texts_test, native, metrics)
    print(f"{len(texts_train)} texts for training, {len(texts_test)} held out")
    print(toml(metrics))
    print(f"model.onnx: {len(onnx)} bytes; differs from scikit-learn by at most {difference:.1e} on {len(texts_test)} texts")


def write(root, onnx, texts_train, texts_test, native, metrics):
    """Writes the model, its card and the golden rows below `root`."""
    for folder in ("model", "tests"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "model/model.onnx").write_bytes(onnx)
    predicted = native.argmax(axis=1)
    shares = np.bincount(predicted, minlength=len(LABELS)) / len(predicted)
    (root / "model/model.toml").write_text(CARD.format(
        sha256=hashlib.sha256(onnx).hexdigest(),
        labels=json.dumps(LABELS),
        rows_train=len(texts_train),
        rows_test=len(texts_test),
        metrics=toml(metrics),
        profile=toml(dict(zip(LABELS, shares))),
        fields_profile=spread("text", [len(text) for text in texts_train]),
    ), encoding="utf-8")
    with gzip.GzipFile(root / "tests/golden.jsonl.gz", "wb", mtime=0) as file:
        for text, probabilities in zip(texts_test, native):
            line = {
                "request": {"text": text},
                "prediction": LABELS[probabilities.argmax()],
                "probabilities": probabilities.round(8).tolist(),
            }
            file.write((json.dumps(line, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    main()
