#!/usr/bin/env python3
"""Makes models/train/lenet-mnist.onnx: a small network with random weights, to be trained on encrypted images.

usage: make_training_model.py OUT.onnx

Two 5x5 convolutions with stride 2, each followed by the quadratic x (0.25 x + 0.5), and a dense layer. Weights and biases
are uniform within 1 / sqrt(inputs of one output), PyTorch's default, from a fixed seed. Needs python3-numpy and python3-onnx.
"""
import pathlib
import sys

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

SEED = 1
SIDE, CLASSES = 28, 10
CHANNELS = [1, 4, 8]
KERNEL, STRIDE, PAD = 5, 2, 2
A, B = 0.25, 0.5
METADATA = {"sotto.mean": "0", "sotto.std": "0.5", "sotto.classes": ",".join(map(str, range(CLASSES))),
            "sotto.layout": "NCHW, 1 channel(s), (pixel / 255 - mean) / std"}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    random = numpy.random.default_rng(SEED)
    nodes, tensors = [], []

    def constant(name, values):
        tensors.append(numpy_helper.from_array(numpy.asarray(values, numpy.float32), name))
        return name

    def layer(name, shape):
        bound = 1 / numpy.sqrt(numpy.prod(shape[1:]))
        return [constant(f"{name}.weight", random.uniform(-bound, bound, shape)),
                constant(f"{name}.bias", random.uniform(-bound, bound, shape[0]))]

    def node(op, inputs, name, output=None, **attributes):
        nodes.append(helper.make_node(op, inputs, [output or name], name, **attributes))
        return output or name

    constant("a", A)
    constant("b", B)
    x, side = "image", SIDE
    for k, (inputs, outputs) in enumerate(zip(CHANNELS, CHANNELS[1:]), 1):
        x = node("Conv", [x, *layer(f"conv{k}", (outputs, inputs, KERNEL, KERNEL))], f"conv{k}",
                 kernel_shape=[KERNEL] * 2, strides=[STRIDE] * 2, pads=[PAD] * 4)
        slope = node("Add", [node("Mul", [x, "a"], f"act{k}.mul"), "b"], f"act{k}.add")
        x, side = node("Mul", [x, slope], f"act{k}"), (side + 2 * PAD - KERNEL) // STRIDE + 1
    x = node("Flatten", [x], "flatten")
    node("Gemm", [x, *layer("fc", (CLASSES, CHANNELS[-1] * side * side))], "fc", "logits", transB=1)

    graph = helper.make_graph(
        nodes, "lenet-mnist", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", CHANNELS[0], SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", CLASSES])], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="sotto", ir_version=7)
    helper.set_model_props(model, METADATA)
    onnx.checker.check_model(model)
    pathlib.Path(sys.argv[1]).write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
