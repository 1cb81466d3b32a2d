"""The penguins function in FastAPI, to compare with: peers.py sklearn|onnx.

It listens where Nomad or `drover up` say, and on a free port without them.

One file, one worker, the same request with the same ranges, the same answer; the model is the same
forest, in scikit-learn or in ONNX Runtime. Both run on the event loop, which was the faster way.
"""

import importlib.util
import json
import os
import socket
import sys
import uuid
from pathlib import Path

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

PENGUINS = Path(__file__).resolve().parents[4] / "functions/penguins"
VERSION = "1.0.0"
LABELS = ["FEMALE", "MALE"]


class Penguin(BaseModel):
    model_config = ConfigDict(extra="forbid")
    bill_length_mm: float = Field(ge=10, le=100)
    bill_depth_mm: float = Field(ge=5, le=50)
    flipper_length_mm: float = Field(ge=100, le=300)
    body_mass_g: float = Field(ge=1000, le=10000)


class Prediction(BaseModel):
    model_config = ConfigDict(protected_namespaces=())
    prediction: str
    confidence: float
    probabilities: dict[str, float]
    model_version: str
    request_id: str


def sklearn():
    """Trains as the function's own script does."""
    spec = importlib.util.spec_from_file_location("train", PENGUINS / "train/train.py")
    train = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(train)
    x, y = train.read()
    x, _, y, _ = train.train_test_split(x, y, test_size=0.2, stratify=y, random_state=train.SEED)
    forest = train.ExtraTreesClassifier(train.TREES, min_samples_leaf=2, random_state=train.SEED).fit(x, y)
    return forest.predict_proba


def onnx():
    """Loads the model that the function has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(PENGUINS / "model/model.onnx", options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(["probabilities"], {"features": x})[0]


app = FastAPI()
probabilities_of = {"sklearn": sklearn, "onnx": onnx}[sys.argv[1]]()


@app.post("/predict")
async def predict(penguin: Penguin) -> Prediction:
    row = [penguin.bill_length_mm, penguin.bill_depth_mm, penguin.flipper_length_mm, penguin.body_mass_g]
    probabilities = probabilities_of(np.array([row], dtype=np.float32))[0].tolist()
    confidence = max(probabilities)
    return Prediction(
        prediction=LABELS[probabilities.index(confidence)],
        confidence=confidence,
        probabilities=dict(zip(LABELS, probabilities)),
        model_version=VERSION,
        request_id=str(uuid.uuid4()),
    )


if __name__ == "__main__":
    listener = socket.socket()
    # As servers do: `drover up` keeps the port for one that does.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(os.environ.get("NOMAD_PORT_http", 0))))
    listener.listen(4096)
    host, port = listener.getsockname()
    # As a function says it.
    print(json.dumps({"message": "listening", "address": f"{host}:{port}"}), file=sys.stderr, flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])
