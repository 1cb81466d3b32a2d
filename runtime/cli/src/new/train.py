"""Makes model/model.onnx and model/model.toml. Replace it with the training of your own model.

The example says on which side of the line width = length a thing lies: two numbers, two labels.
"""

import hashlib
import pathlib

import onnx
from onnx import TensorProto, helper, numpy_helper
import numpy

FOLDER = pathlib.Path(__file__).parent.parent / "model"
WEIGHTS = numpy.array([[1.0, -1.0], [-1.0, 1.0]], dtype=numpy.float32)

graph = helper.make_graph(
    [
        helper.make_node("MatMul", ["features", "weights"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ],
    "example",
    [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 2])],
    [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
    [numpy_helper.from_array(WEIGHTS, "weights")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)
FOLDER.mkdir(exist_ok=True)
(FOLDER / "model.onnx").write_bytes(model.SerializeToString())
digest = hashlib.sha256((FOLDER / "model.onnx").read_bytes()).hexdigest()
(FOLDER / "model.toml").write_text(f'''name = "%NAME%"
version = "0.1.0"
description = "Says whether a thing is longer than wide."
file = "model.onnx"
sha256 = "{digest}"
labels = ["long", "wide"]
licence = "CC0-1.0"

[[inputs]]
name = "features"
type = "float32"
shape = [-1, 2]

[[outputs]]
name = "probabilities"
type = "float32"
shape = [-1, 2]

[data]
source = "made by train/train.py"
licence = "CC0-1.0"
citation = "none"
rows_train = 0
rows_test = 0

[metrics]
''')
