"""Makes the golden files of this folder: small ONNX models with an input and what ONNX Runtime computes from it.

NAME.onnx and NAME.json ({"input": [..], "output": [..]}, [c][h][w] and scores, float32) for every model below; every
operator that the import understands occurs. The networks of sotto.nn with random weights also have the scores of the
PyTorch network that was exported ("pytorch") and the largest magnitudes before its ReLUs ("relu_ranges").

For every models/NAME.onnx, NAME.json holds synthetic pictures ("pixels", [image][c][h][w]), the scores that ONNX
Runtime gives them ("output", float32) and those of PyTorch's operators on the file's weights ("pytorch", float64).

usage: make_goldens.py [NAME ...]

Without names it makes all, with names these, of the models below and those of models/. Needs numpy, onnx, onnxruntime,
PyTorch and, for the exported_* models (networks of tests/outside/networks.py), torchvision and onnxscript. The same
versions make the same files.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto as T
from onnx import helper, numpy_helper
from torch.nn import functional as F

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
MODELS = {}


class Model:
    """A graph in the making: every method appends a node and returns the name of its output."""

    def __init__(self, rng, shape, opset=13):
        self.rng, self.shape, self.opset = rng, shape, opset
        self.nodes, self.constants, self.count, self.metadata = [], [], 0, {}
        self.channels_last = False  # the input, which the golden file has in Sotto's order

    def name(self, kind):
        self.count += 1
        return f"{kind.lower()}{self.count}"

    def op(self, kind, *inputs, **attributes):
        out = self.name(kind)
        self.nodes.append(helper.make_node(kind, list(inputs), [out], name=f"{kind}_{self.count}", **attributes))
        return out

    def const(self, value, dtype=np.float32):
        out = self.name("const")
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), out))
        return out

    def node(self, **attributes):
        return self.op("Constant", **attributes)

    def random(self, *shape):
        return self.const(self.rng.normal(0, 1 / np.sqrt(np.prod(shape[1:]) or 1), shape))

    def conv(self, x, out_c, in_c, kh, kw, bias=True, **attributes):
        inputs = [x, self.random(out_c, in_c, kh, kw)] + ([self.random(out_c)] if bias else [])
        return self.op("Conv", *inputs, **attributes)

    def flat(self, x):
        return self.op("Flatten", x)

    def integers(self, *values):
        return self.const(values, np.int64)

    def save(self, name, y, grid=None, kind=T.FLOAT):
        graph = helper.make_graph(
            self.nodes, name,
            [helper.make_tensor_value_info("x", kind, ["batch", *self.shape])],
            [helper.make_tensor_value_info(y, T.FLOAT, ["batch", "scores"])], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        helper.set_model_props(model, self.metadata)
        onnx.checker.check_model(model, full_check=True)
        x = self.rng.normal(0, 1, (1, *self.shape)).astype(np.float32)
        if grid:  # few bits, so that float16 arithmetic is exact
            x = np.clip(np.round(x * grid) / grid, -2, 2).astype(np.float32)
        if kind == T.UINT8:
            x = self.rng.integers(0, 256, x.shape, np.uint8)
        out = run(model.SerializeToString(), "x", x)
        (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())
        if self.channels_last:
            x = x.transpose(0, 3, 1, 2)
        write_json(name, {"input": floats(x), "output": floats(out)})


def floats(array):
    """The shortest decimal numbers that are these float32 values."""
    return [float(str(v)) for v in array.astype(np.float32).ravel()]


def run(model, name, x):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, {name: x})[0]


def write_json(name, value):
    (HERE / f"{name}.json").write_text(json.dumps(value, separators=(",", ":")) + "\n")


def golden(shape, opset=13, grid=None, kind=T.FLOAT):
    def register(build):
        MODELS[build.__name__] = (build, shape, opset, grid, kind)
        return build
    return register


@golden((3, 8, 8))
def conv_padded(m):
    return m.flat(m.conv("x", 4, 3, 3, 3, kernel_shape=[3, 3], pads=[1, 1, 1, 1]))


@golden((2, 9, 7))
def conv_strides_and_uneven_pads(m):
    return m.flat(m.conv("x", 3, 2, 3, 2, strides=[2, 1], pads=[1, 0, 2, 1]))


@golden((4, 8, 8))
def conv_groups(m):
    depthwise = m.conv("x", 8, 1, 3, 3, group=4, pads=[1, 1, 1, 1], strides=[2, 2])
    return m.flat(m.conv(depthwise, 6, 4, 1, 1, bias=False, group=2))


@golden((2, 10, 10))
def conv_dilated(m):
    return m.flat(m.conv("x", 3, 2, 3, 3, dilations=[2, 3], pads=[2, 1, 1, 2]))


@golden((2, 8, 8))
def conv_auto_pad_valid(m):
    a = m.conv("x", 3, 2, 3, 3, auto_pad="VALID", strides=[2, 2])
    return m.flat(m.conv(a, 3, 3, 3, 3, auto_pad="NOTSET", pads=[1, 1, 1, 1]))


@golden((3, 6, 6))
def batch_normalization(m):
    a = m.conv("x", 4, 3, 3, 3, bias=False, pads=[1, 1, 1, 1])
    constants = [m.const(m.rng.uniform(0.5, 1.5, 4)), m.random(4), m.random(4), m.const(m.rng.uniform(0.1, 2, 4))]
    a = m.op("BatchNormalization", a, *constants, epsilon=1e-3)
    constants = [m.const(v) for v in ([1, 2, 3, 4], [0, 1, 0, -1], [1, 0, -1, 0], [0, 1e-7, 2, 3])]
    return m.flat(m.op("BatchNormalization", a, *constants))


@golden((3, 5, 4))
def constants_and_broadcast(m):
    a = m.op("Add", "x", m.const([[[0.5]], [[-1.25]], [[2]]]))
    a = m.op("Mul", m.const(m.rng.normal(size=(1, 3, 1, 1))), a)
    a = m.op("Sub", a, m.const([[[0.125]], [[3]], [[-0.5]]]))
    a = m.op("Sub", m.const(0.75), a)
    a = m.op("Div", a, m.const([[[[2]], [[-3]], [[0.25]]]]))
    a = m.op("Add", m.const([1.5]), a)
    a = m.op("Div", a, m.const(-4.0))
    a = m.flat(m.op("Neg", a))
    return m.op("Mul", m.op("Sub", a, m.const([[0.5]])), m.const([2]))


@golden((2, 4, 4))
def constant_nodes(m):
    a = m.op("Mul", "x", m.node(value_float=-1.75))
    a = m.op("Add", a, m.node(value=numpy_helper.from_array(np.array([[[0.5]], [[2]]], np.float32))))
    a = m.op("Reshape", a, m.node(value_ints=[-1, 32]))
    # Arithmetic on constants alone, as exporters leave it.
    b = m.op("Mul", m.const(2), m.op("Add", m.const(1), m.const(0.25)))
    return m.op("Add", a, m.op("Div", m.op("Sub", m.node(value_float=3.0), m.const(0.5)), b))


@golden((3, 6, 6))
def sums_products_and_powers(m):
    a = m.conv("x", 3, 3, 3, 3, pads=[1, 1, 1, 1])
    square = m.op("Mul", a, a)
    b = m.op("Sub", m.op("Add", square, "x"), m.op("Pow", a, m.const(2.0)))
    b = m.op("Sub", b, m.op("Mul", a, "x"))
    return m.flat(m.op("Pow", m.op("Pow", b, m.const([1.0])), m.const(2, np.int64)))


@golden((2, 7, 7))
def average_pool_counting_pads(m):
    return m.flat(m.op("AveragePool", "x", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 2, 1], count_include_pad=1))


@golden((2, 7, 7))
def average_pool_without_pads(m):
    a = m.op("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    return m.flat(m.op("AveragePool", a, kernel_shape=[2, 3], strides=[2, 2], pads=[1, 2, 0, 1], count_include_pad=0))


@golden((4, 5, 3))
def global_average_pool(m):
    return m.flat(m.op("GlobalAveragePool", "x"))


@golden((4, 5, 3))
def reduce_mean_by_attribute(m):
    return m.op("Gemm", m.op("ReduceMean", "x", axes=[2, -1], keepdims=0), m.random(4, 3))


@golden((4, 5, 3), opset=18)
def reduce_mean_by_input(m):
    a = m.op("ReduceMean", "x", m.const([-2, 3], np.int64), keepdims=1)
    return m.op("Squeeze", a, m.const([-1, 2], np.int64))


@golden((2, 3, 3))
def gemm_transposed_and_scaled(m):
    return m.op("Gemm", m.flat("x"), m.random(5, 18), m.random(5), transB=1, alpha=0.5, beta=-2.0)


@golden((2, 3, 3))
def gemm_plain(m):
    a = m.op("Gemm", m.flat("x"), m.random(18, 6), m.const([[1, -2, 3, -4, 5, -6]]))
    return m.op("Gemm", a, m.random(6, 4), m.const(0.5))


@golden((2, 4, 3))
def reshape_matmul_add(m):
    a = m.op("Reshape", "x", m.const([0, -1], np.int64))
    a = m.op("Add", m.op("MatMul", a, m.random(24, 5)), m.random(5))
    return m.op("Add", m.const(m.rng.normal(size=(1, 3))), m.op("MatMul", a, m.random(5, 3)))


@golden((2, 4, 4), opset=17)
def identity_dropout_cast(m):
    a = m.op("Cast", m.op("Identity", "x"), to=T.DOUBLE)
    a = m.op("Mul", a, m.const(np.array([[[1 / 3]], [[-2 / 7]]]), np.float64))
    a = m.op("Cast", a, to=T.FLOAT)
    a = m.op("Dropout", a, m.const(0.5))
    return m.flat(m.op("Dropout", m.conv(a, 2, 2, 1, 1)))


@golden((2, 4, 4), grid=8)
def half_precision_constants(m):
    a = m.op("Cast", "x", to=T.FLOAT16)
    a = m.op("Mul", a, m.const([[[1.1875]], [[-0.0625]]], np.float16))
    return m.flat(m.op("Cast", a, to=T.FLOAT))


@golden((3, 8, 8))
def residual_network(m):
    """What the compiler is for: quadratic activations, a shortcut with a projection, a mean, a dense layer."""

    def activation(x):
        factor = m.op("Add", m.op("Mul", x, m.const(0.25)), m.const(0.5))
        return m.op("Add", m.op("Mul", factor, x), m.const([[[0.1]], [[0.2]], [[0.3]], [[0.4]]]))

    a = activation(m.conv("x", 4, 3, 3, 3, pads=[1, 1, 1, 1]))
    b = activation(m.conv(a, 4, 4, 3, 3, strides=[2, 2], pads=[1, 1, 1, 1]))
    b = m.op("Add", m.conv(b, 4, 4, 3, 3, pads=[1, 1, 1, 1]), m.conv(a, 4, 4, 1, 1, bias=False, strides=[2, 2]))
    b = m.op("ReduceMean", activation(b), axes=[2, 3], keepdims=0)
    return m.op("Gemm", b, m.random(5, 4), m.random(5), transB=1)


@golden((1, 12, 12))
def pooled_network(m):
    a = m.conv("x", 3, 1, 5, 5)
    a = m.op("AveragePool", m.op("Pow", a, m.const(2.0)), kernel_shape=[2, 2], strides=[2, 2])
    a = m.op("Gemm", m.flat(a), m.random(6, 48), m.random(6), transB=1)
    return m.op("Gemm", m.op("Mul", a, a), m.random(4, 6), m.random(4), transB=1)


@golden((2, 5, 5))
def relus(m):
    a = m.op("Relu", m.conv("x", 4, 2, 3, 3, pads=[1, 1, 1, 1]))
    b = m.op("Relu", m.op("Gemm", m.flat(m.op("Add", a, m.conv(a, 4, 4, 1, 1))), m.random(100, 6), m.random(6)))
    m.metadata["sotto.relu_ranges"] = json.dumps({a: 4.5, m.nodes[-1].name: 3})
    return m.op("Gemm", b, m.random(6, 3))


@golden((2, 6, 5))
def zero_pads(m):
    """Pads that a Conv takes in, pads that crop, pads of channels."""
    a = m.conv(m.op("Pad", "x", m.integers(0, 0, 1, 0, 0, 0, 2, 1)), 3, 2, 3, 3, pads=[1, 0, 0, 1])
    a = m.conv(m.op("Pad", a, m.integers(0, 0, -1, 2, 0, 0, 1, -2), m.const(0.0)), 3, 3, 2, 2)
    a = m.op("Pad", a, m.integers(0, 1, -1, 0, 0, 2, 0, -1))
    return m.flat(m.conv(a, 4, 6, 2, 2))


@golden((2, 6, 5), opset=18)
def zero_pads_of_named_axes(m):
    a = m.op("Pad", "x", m.integers(1, 2, 0, 1), "", m.integers(-1, 2))
    return m.flat(m.op("Pad", m.conv(a, 3, 2, 3, 3), m.integers(-1, -1), m.const(0.0), m.integers(3)))


@golden((2, 6, 6))
def zero_pads_before_average_pools(m):
    a = m.op("AveragePool", m.op("Pad", "x", m.integers(0, 0, 1, 0, 0, 0, 1, 2)), kernel_shape=[3, 3], strides=[2, 1])
    a = m.op("Pad", a, m.integers(0, 0, 0, 1, 0, 0, 1, 1))
    a = m.op("AveragePool", a, kernel_shape=[2, 3], pads=[1, 1, 0, 1], count_include_pad=1)
    a = m.op("Pad", a, m.integers(0, 0, 1, 1, 0, 0, 1, 1))
    return m.flat(m.op("AveragePool", a, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 3]))


@golden((2, 7, 8), opset=22)
def average_pools_that_round_up(m):
    a = m.op("AveragePool", "x", kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1)
    a = m.op("AveragePool", m.conv(a, 2, 2, 1, 1, pads=[2, 2, 2, 2]), kernel_shape=[3, 3], strides=[2, 2],
             pads=[1, 1, 1, 1], ceil_mode=1)
    a = m.conv(a, 2, 2, 1, 1, pads=[2, 1, 1, 1])
    a = m.op("AveragePool", a, kernel_shape=[3, 2], strides=[3, 2], pads=[1, 0, 1, 1], ceil_mode=1, count_include_pad=1)
    return m.flat(a)


@golden((2, 9, 8))
def auto_pad_same(m):
    a = m.conv("x", 3, 2, 3, 4, auto_pad="SAME_UPPER", strides=[2, 2])
    a = m.conv(a, 3, 3, 2, 2, auto_pad="SAME_LOWER")
    a = m.op("AveragePool", a, kernel_shape=[2, 3], auto_pad="SAME_LOWER")
    return m.flat(m.op("AveragePool", a, kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_UPPER", count_include_pad=1))


@golden((4, 5, 3))
def means_axis_by_axis(m):
    a = m.op("ReduceMean", m.op("ReduceMean", "x", axes=[3], keepdims=0), axes=[-1], keepdims=1)
    b = m.op("ReduceMean", m.op("ReduceSum", "x", m.integers(-2), keepdims=1), axes=[3], keepdims=1)
    c = m.op("ReduceSum", m.op("Reshape", "x", m.integers(0, 4, -1)), m.integers(2))
    a = m.op("Add", m.op("Squeeze", a, m.integers(2)), m.op("Flatten", b))
    return m.op("Gemm", m.op("Add", a, m.op("Squeeze", c, m.integers(-1))), m.random(4, 3))


@golden((4, 5, 3), opset=11)
def axes_as_attributes(m):
    """Operators as they were before opset 13."""
    a = m.op("ReduceSum", m.op("ReduceMean", "x", axes=[2], keepdims=0), axes=[-1], keepdims=0)
    a = m.op("Squeeze", m.op("Unsqueeze", a, axes=[1, -1]), axes=[-1, 1])
    left, right = (m.name("Split") for _ in range(2))
    m.nodes.append(helper.make_node("Split", [a], [left, right], name="split", axis=1, split=[1, 3]))
    return m.op("Dropout", m.op("Gemm", m.op("Concat", right, left, axis=1), m.random(4, 3)), ratio=0.3)


@golden((3, 4, 4))
def views_of_one_map(m):
    """Dimensions that come and go; activations on the flattened map."""
    a = m.op("Unsqueeze", m.conv("x", 4, 3, 3, 3, pads=[1, 1, 1, 1]), m.integers(1, -1))
    a = m.op("Reshape", m.op("Flatten", a, axis=1), m.integers(-1, 8, 8))
    a = m.op("Flatten", m.op("Unsqueeze", m.op("Mul", a, a), m.integers(1)), axis=2)
    a = m.op("Reshape", m.op("Add", a, m.const(0.5)), m.integers(0, 4, 4, 4))
    a = m.op("Squeeze", m.op("Unsqueeze", m.conv(a, 2, 4, 2, 2, strides=[2, 2]), m.integers(2)), m.integers(2))
    return m.op("Gemm", m.op("Reshape", a, m.integers(-1, 8)), m.random(8, 5))


@golden((3, 4, 4), opset=15)
def flatten_by_computed_shapes(m):
    a = m.conv("x", 4, 3, 3, 3)
    batch = m.op("Unsqueeze", m.op("Gather", m.op("Shape", a), m.const(0, np.int64)), m.integers(0))
    sizes = m.op("Shape", a, start=1)
    size = m.op("ReduceProd", sizes, keepdims=1)
    same = m.op("Where", m.op("Equal", batch, m.integers(-1)), m.integers(7), m.op("Mul", batch, m.integers(1)))
    a = m.op("Reshape", a, m.op("Concat", same, m.op("Cast", size, to=T.INT64), axis=0))
    return m.op("Gemm", a, m.random(16, 5))


@golden((2, 4, 4))
def computed_constants(m):
    """Weights that the model computes: normalised, transposed, cast, expanded, sliced, joined."""
    w = m.random(4, 2, 3, 3)
    norm = m.op("ReduceL2", w, axes=[1, 2, 3], keepdims=1)
    w = m.op("Mul", m.op("Div", w, norm), m.const(m.rng.uniform(0.5, 1.5, (4, 1, 1, 1))))
    a = m.op("Conv", "x", w, m.op("Expand", m.const([0.5]), m.integers(4)))
    scale = m.op("Cast", m.op("Range", m.const(1, np.int64), m.const(9, np.int64), m.const(2, np.int64)), to=T.FLOAT)
    a = m.op("Mul", a, m.op("Reshape", scale, m.integers(1, -1, 1, 1)))
    shift = m.op("Concat", m.op("ConstantOfShape", m.integers(2)), m.const([1, -1]), axis=0)
    a = m.op("Add", a, m.op("Unsqueeze", m.op("Slice", shift, m.integers(-1), m.integers(-9), m.integers(0), m.integers(-1)),
                            m.integers(1, 2)))
    return m.op("MatMul", m.flat(a), m.op("Transpose", m.random(3, 16), perm=[1, 0]))


@golden((4, 6, 6))
def shortcuts_of_slices_and_zeros(m):
    """The shortcut of CIFAR ResNets, by Pad and by Concat with constants."""
    a = m.op("Slice", "x", m.integers(0, 1), m.integers(2**63 - 1, 2**31 - 1), m.integers(2, 3), m.integers(2, 2))
    a = m.op("Pad", a, m.integers(0, 2, 0, 0, 0, 2, 0, 0))
    b = m.op("Slice", m.op("Slice", "x", m.integers(1), m.integers(6), m.integers(2), m.integers(2)), m.integers(0),
             m.integers(-1), m.integers(-1), m.integers(2))
    zeros = m.op("ConstantOfShape", m.integers(1, 2, 3, 3))
    a = m.op("Add", a, m.op("Concat", b, zeros, zeros, axis=1))
    return m.flat(m.op("Add", a, m.conv("x", 8, 4, 3, 3, pads=[1, 1, 1, 1], strides=[2, 2])))


@golden((6, 3, 3))
def channels_shuffled_split_and_joined(m):
    a = m.op("Transpose", m.op("Reshape", "x", m.integers(0, 2, 3, 3, 3)), perm=[0, 2, 1, 3, 4])
    a = m.op("Reshape", a, m.integers(-1, 6, 3, 3))
    left, middle, right = (m.name("Split") for _ in range(3))
    m.nodes.append(helper.make_node("Split", [a, m.integers(1, 2, 3)], [left, middle, right], name="split", axis=1))
    a = m.op("Concat", m.conv(right, 2, 3, 2, 2), m.op("Slice", m.conv(left, 3, 1, 2, 2), m.integers(-1), m.integers(-9),
                                                       m.integers(1), m.integers(-2)), axis=1)
    b = m.op("Gather", m.op("Gather", middle, m.integers(1, 0, 1), axis=1), m.integers(0, 2), axis=2)
    b = m.op("Slice", b, m.integers(1), m.integers(3), m.integers(3))
    c = m.op("Gather", "x", m.const(-1, np.int64), axis=2)
    return m.op("Concat", m.flat(a), m.flat(b), m.flat(c), axis=-1)


@golden((2, 4, 3))
def transposed_before_a_dense_layer(m):
    a = m.op("Transpose", m.conv("x", 3, 2, 1, 1), perm=[0, 2, 3, 1])
    return m.op("MatMul", m.op("Reshape", a, m.integers(0, -1)), m.random(36, 4))


@golden((4, 6, 3))
def channels_behind(m):
    """A picture as TensorFlow has it."""
    m.channels_last = True
    a = m.op("Transpose", m.op("Sub", "x", m.const(0.5)), perm=[0, 3, 1, 2])
    return m.flat(m.conv(a, 2, 3, 3, 3, strides=[1, 2]))


@golden((12,))
def flat_input(m):
    a = m.op("Gemm", m.op("Mul", "x", m.const(2.0)), m.random(12, 6), m.random(6))
    constants = [m.const(m.rng.uniform(0.5, 1.5, 6)), m.random(6), m.random(6), m.const(m.rng.uniform(0.1, 2, 6))]
    return m.op("Gemm", m.op("Relu", m.op("BatchNormalization", a, *constants)), m.random(6, 3))


@golden((30,))
def flat_input_made_a_picture(m):
    a = m.op("Reshape", m.op("Div", "x", m.const(4.0)), m.integers(-1, 1, 6, 5))
    return m.flat(m.conv(a, 2, 1, 3, 3))


@golden((6, 5))
def picture_without_channels(m):
    return m.flat(m.conv(m.op("Unsqueeze", "x", m.integers(1)), 2, 1, 3, 3))


@golden((3, 8))
def signals(m):
    """One-dimensional convolution and pooling."""
    a = m.op("Conv", "x", m.random(4, 3, 3), m.random(4), pads=[1, 0], strides=[2], kernel_shape=[3])
    a = m.op("AveragePool", a, kernel_shape=[2])
    constants = [m.const(m.rng.uniform(0.5, 1.5, 4)), m.random(4), m.random(4), m.const(m.rng.uniform(0.1, 2, 4))]
    return m.flat(m.op("GlobalAveragePool", m.op("BatchNormalization", a, *constants)))


@golden((3, 4, 4), kind=T.UINT8)
def raw_pixels(m):
    a = m.op("Div", m.op("Cast", m.op("Slice", "x", m.integers(1), m.integers(4), m.integers(2)), to=T.FLOAT), m.const(255.0))
    return m.flat(m.conv(a, 4, 3, 3, 3))


@golden((2, 5, 2), opset=22)
def average_pools_wider_than_their_input(m):
    """Rounding up leaves one window that reaches beyond the input; SqueezeNet has it on small pictures."""
    a = m.op("AveragePool", m.conv("x", 2, 2, 1, 1), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    a = m.op("AveragePool", m.conv(a, 2, 2, 1, 1), kernel_shape=[4, 2], strides=[3, 2], pads=[0, 0, 1, 0], ceil_mode=1)
    return m.flat(a)


@golden((2, 4, 6))
def constants_by_pixel(m):
    a = m.conv(m.op("Add", "x", m.random(2, 4, 6)), 3, 2, 3, 3, pads=[1, 1, 1, 1])
    a = m.op("Sub", m.op("Mul", a, a), m.random(1, 3, 4, 6))
    a = m.op("Sub", m.random(4, 6), a)
    return m.op("Add", m.flat(a), m.random(1, 72))


# As PyTorch's dynamo exporter writes Softplus, and what else has two sides.
@golden((2, 4, 4))
def sides(m):
    a = m.conv("x", 3, 2, 3, 3, pads=[1, 1, 1, 1])
    a = m.op("Where", m.op("Greater", a, m.const(0.5)), a, m.op("Softplus", a))
    b = m.op("Where", m.op("LessOrEqual", m.const(0.6), a), m.const(0.6), a)
    b = m.op("Where", m.op("Less", b, m.const(0.55)), b, m.const(-0.5))
    c = m.op("Where", m.op("GreaterOrEqual", m.flat(a), m.const([0.7])), m.const(2), m.const(-1))
    return m.op("Add", m.flat(b), c)


# Products and sums of two values: gates of one pixel, of one channel, of a single number, the smaller one first or last.
@golden((2, 4, 4))
def gates(m):
    a = m.conv("x", 3, 2, 3, 3, pads=[1, 1, 1, 1])
    b = m.conv("x", 3, 2, 1, 1)
    squeezed = m.op("Relu", m.conv(m.op("GlobalAveragePool", a), 3, 3, 1, 1))
    a = m.op("Mul", a, squeezed)
    a = m.op("Mul", m.conv("x", 1, 2, 1, 1), a)
    a = m.op("Sub", m.op("GlobalAveragePool", b), m.op("Mul", a, b))
    a = m.op("Add", a, m.op("Mul", m.op("GlobalAveragePool", b), m.conv("x", 1, 2, 4, 4)))
    return m.op("Mul", m.flat(a), m.op("Gemm", m.flat(m.op("GlobalAveragePool", "x")), m.random(2, 48)))


# Maxima: windows that overlap, with padding behind a Relu, dilated ones, ones that reach beyond, and whole maps.
@golden((2, 9, 8))
def max_pools(m):
    a = m.op("Relu", m.conv("x", 3, 2, 3, 3, pads=[1, 1, 1, 1]))
    b = m.op("MaxPool", a, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    c = m.op("MaxPool", a, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    d = m.op("MaxPool", "x", kernel_shape=[2, 3], dilations=[3, 2])
    e = m.op("GlobalMaxPool", m.op("Neg", m.op("MaxPool", b, kernel_shape=[1, 4])))
    return m.op("Concat", m.flat(b), m.flat(c), m.flat(d), m.flat(e), axis=1)


def synthetic_pictures(count, channels, height, width):
    """Smooth colour gradients with a few soft blobs: pixels in [0, 255], [count][channels][height][width]."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:height, 0:width] / np.reshape([height - 1, width - 1], (2, 1, 1))
    out = np.zeros((count, channels, height, width))
    for picture in out:
        for plane in picture:
            a, b, c = rng.uniform(-0.5, 0.5, 3)
            plane += 0.5 + a * (x - 0.5) + b * (y - 0.5) + c * x * y
        for _ in range(rng.integers(2, 5)):
            cx, cy, radius = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8), rng.uniform(0.08, 0.3)
            blob = np.exp(-(((x - cx) ** 2 + (y - cy) ** 2) / radius**2) ** 2)
            picture += blob * (rng.uniform(0, 1, (channels, 1, 1)) - picture)
    return np.clip(np.round(out * 255), 0, 255).astype(np.uint8)


def by_pytorch(model, x):
    """The scores of an ONNX model by PyTorch's operators in float64."""
    values = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in model.graph.initializer}
    values = {k: v.double() if v.is_floating_point() else v for k, v in values.items()}
    values[model.graph.input[0].name] = torch.from_numpy(x).double()

    def window(a):
        return {"stride": a.get("strides", 1), "padding": a["pads"][:2] if "pads" in a else 0}

    operators = {
        "Add": lambda a, x, y: x + y,
        "Mul": lambda a, x, y: x * y,
        "MatMul": lambda a, x, y: x @ y,
        "Concat": lambda a, *parts: torch.cat(parts, a["axis"]),
        "Identity": lambda a, x: x,
        "Relu": lambda a, x: torch.relu(x),
        "Conv": lambda a, x, w, b=None: F.conv2d(x, w, b, groups=a.get("group", 1), **window(a)),
        "BatchNormalization": lambda a, x, scale, shift, mean, variance:
            F.batch_norm(x, mean, variance, scale, shift, eps=a["epsilon"]),
        "AveragePool": lambda a, x:
            F.avg_pool2d(x, a["kernel_shape"], count_include_pad=bool(a.get("count_include_pad", 0)), **window(a)),
        "ReduceMean": lambda a, x: x.mean(a["axes"], keepdim=bool(a.get("keepdims", 1))),
        "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True),
        "Flatten": lambda a, x: x.flatten(1),
        "Gemm": lambda a, x, w, b: F.linear(x, w if a.get("transB") else w.T, b),
    }
    for node in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant":
            value = torch.from_numpy(numpy_helper.to_array(attributes["value"]).copy())
            values[node.output[0]] = value.double() if value.is_floating_point() else value
        else:
            inputs = [values[name] for name in node.input]
            values[node.output[0]] = operators[node.op_type](attributes, *inputs)
    return values[model.graph.output[0].name].numpy()


def shipped(path):
    """The golden file of a model of models/; fewer pictures of larger ones, to keep the file small."""
    model = onnx.load(path)
    metadata = {p.key: p.value for p in model.metadata_props}
    mean, std = (np.array(metadata[k].split(","), np.float64).reshape(-1, 1, 1) for k in ("sotto.mean", "sotto.std"))
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    pixels = synthetic_pictures(int(np.clip(12288 // np.prod(shape), 2, 4)), *shape)
    x = (pixels / 255.0 - mean) / std
    name, single = model.graph.input[0].name, x.astype(np.float32)
    scores = np.concatenate([run(path.read_bytes(), name, single[i : i + 1]) for i in range(len(x))])
    golden = {"pixels": [p.ravel().tolist() for p in pixels], "output": [floats(s) for s in scores],
              "pytorch": by_pytorch(model, x).tolist()}
    write_json(path.stem, golden)


def trained(name, kind, make, shape):
    """A network of sotto.nn with random weights: exported, and its scores and the ranges of its ReLUs by PyTorch."""
    from sotto.nn.activation import activations
    from sotto.nn.checkpoint import Trained
    from sotto.nn.config import Config
    from sotto.nn.data import Meta
    from sotto.nn.export import export

    torch.manual_seed(1)
    torch.set_num_threads(1)
    net = make(kind, shape[0], 10, shape[1:])
    norms = [a.norm for a in activations(net)]
    for norm in norms:
        norm.momentum = 1.0
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.uniform_(norm.bias, -0.5, 0.5)
    with torch.no_grad():
        net.train()(torch.randn(32, *shape))  # statistics of batch normalisation
    meta = Meta(*shape, (0.5,) * shape[0], (0.25,) * shape[0], [f"class {k}" for k in range(10)])
    relus = [1.0 + k for k in range(len(norms))] if kind == "relu" else None
    path = HERE / f"{name}.onnx"
    export(Trained(net.eval(), Config(), meta, []), path, relus)
    x = torch.randn(1, *shape)
    largest = []
    for norm in norms:
        norm.register_forward_hook(lambda module, inputs, output: largest.append(output.abs().max().item()))
    with torch.no_grad():
        scores = net(x)[0]
    golden = {"input": floats(x.numpy()), "output": floats(run(path.read_bytes(), "image", x.numpy())),
              "pytorch": floats(scores.numpy())}
    write_json(name, golden | ({"relu_ranges": largest} if kind == "relu" else {}))


def networks():
    """Networks as sotto.nn exports them, VGG-11 at a sixteenth of its width and a ResNet of three blocks."""
    sys.path.insert(0, str(ROOT / "python"))
    from sotto.nn.models import VGG11, LeNet5, ResNet, Vgg

    trained("lenet5", "quadratic", LeNet5, (1, 20, 20))
    trained("vgg11", "quadratic", lambda kind, c, k, size: Vgg(kind, c, k, [w // 16 for w in VGG11]), (3, 32, 32))
    trained("relu_resnet", "relu", lambda kind, c, k, size: ResNet(kind, c, k, [4, 8, 16], [1, 1, 1]), (3, 16, 16))


# Networks of the export matrix, with quadratic activations: name, network, way.
EXPORTED = [("exported_lenet_script_11", "lenet", "script-11"),
            ("exported_padded_script_13", "padded", "script-13-unfolded"),
            ("exported_padded_dynamo_20", "padded", "dynamo-20-unoptimized"),
            ("exported_joined_script_14", "joined", "script-14-inputs"),
            ("exported_joined_dynamo_20", "joined", "dynamo-20-unoptimized"),
            ("exported_joined_dynamo_22", "joined", "dynamo-22-embedded")]


def exported(name, network, way):
    """A network as PyTorch exports it, without log-probabilities at its end."""
    sys.path.insert(0, str(ROOT / "tests" / "outside"))
    import export_matrix as matrix
    import networks as outside

    net, shape = outside.make(network, "quadratic"), outside.NETWORKS[network][1]
    net.end = torch.nn.Identity()
    export = matrix.EXPORTS.get(way) or matrix.dynamo(22, external_data=False)
    x = torch.rand(2, *shape)
    with matrix.silence():
        export(net, x, HERE / f"{name}.onnx")
    model = onnx.load(HERE / f"{name}.onnx")
    for part in [model.graph, *model.graph.node, *model.graph.value_info]:  # where it comes from takes most of the file
        del part.metadata_props[:]
        part.doc_string = ""
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())
    x = x[:1].numpy()
    write_json(name, {"input": floats(x), "output": floats(run(model.SerializeToString(), "input", x))})


def main():
    wanted = set(sys.argv[1:])
    for seed, (name, (build, shape, opset, grid, kind)) in enumerate(MODELS.items()):
        m = Model(np.random.default_rng(seed + 1), shape, opset)
        if not wanted or name in wanted:
            m.save(name, build(m), grid, kind)
    for name, network, way in EXPORTED:
        if not wanted or name in wanted:
            exported(name, network, way)
    if not wanted:
        networks()
    for path in sorted((ROOT / "models").glob("*.onnx")):
        if not wanted or path.stem in wanted:
            shipped(path)


if __name__ == "__main__":
    main()
