"""Small ONNX networks and their scores in float64, computed here without any code of Sotto."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = ("cat", "dog", "ship")


def random_images(count, side, seed=7):
    """uint8 [count][3][side][side]; brightness and colour differ between images, so that their scores do, too."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 256, (count, 3, 1, 1))
    noise = rng.integers(-40, 41, (count, 3, side, side))
    return np.clip(base + noise, 0, 255).astype(np.uint8)


def conv2d(x, weights, bias, stride=1, pad=1):
    """x: [image][c][h][w]."""
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weights.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.einsum("bihwyx,oiyx->bohw", windows, weights, optimize=True) + bias[:, None, None]


class Network:
    """conv 3x3 -> square, `depth` times, then the mean of every channel and a fully connected layer."""

    def __init__(self, side=8, depth=1, channels=4, classes=CLASSES, seed=2, stride=1,
                 mean=(0.49, 0.48, 0.45), std=(0.25, 0.24, 0.26)):
        rng = np.random.default_rng(seed)
        self.side, self.stride, self.classes = side, stride, tuple(classes)
        self.mean, self.std = tuple(mean), tuple(std)
        self.layers, fan_in = [], 3
        for _ in range(depth):
            self.layers.append((as_stored(rng.normal(0, 0.6 / np.sqrt(9 * fan_in), (channels, fan_in, 3, 3))),
                                as_stored(rng.normal(0, 0.2, channels))))
            fan_in = channels
        # Scores around zero: every class wins for some images, mostly clearly.
        sample = self.features(random_images(32, side, seed=99))
        spread = sample.std(axis=0)
        dense = rng.normal(0, 0.06, (len(self.classes), channels)) / np.where(spread > 0, spread, 1)
        self.dense = as_stored(dense)
        self.dense_bias = as_stored(-(self.dense @ sample.mean(axis=0)))

    def features(self, images):
        shape = (3, 1, 1)
        x = (images / 255.0 - np.reshape(self.mean, shape)) / np.reshape(self.std, shape)
        for weights, bias in self.layers:
            x = self.activation(conv2d(x, weights, bias, self.stride))
        return x.mean(axis=(2, 3))

    @staticmethod
    def activation(x):
        return x ** 2

    @staticmethod
    def activation_node(k):
        return helper.make_node("Mul", [f"conv{k}", f"conv{k}"], [f"act{k}"], f"square{k}")

    @staticmethod
    def activation_constants():
        return []

    def scores(self, images):
        """images: uint8 [image][c][h][w]. Returns float64 [image][class]."""
        return self.features(images) @ self.dense.T + self.dense_bias

    def clear_images(self, count, margin=0.05, seed=7):
        """Images whose best score leads by `margin`: their labels must come out right."""
        images = random_images(4 * count + 16, self.side, seed)
        scores = np.sort(self.scores(images), axis=1)
        clear = images[scores[:, -1] - scores[:, -2] > margin]
        assert len(clear) >= count, "too few clear images"
        return clear[:count]

    def save(self, path, metadata=None):
        nodes, constants, name = [], self.activation_constants(), "image"
        for k, (weights, bias) in enumerate(self.layers):
            constants += [tensor(f"w{k}", weights), tensor(f"b{k}", bias)]
            nodes.append(helper.make_node("Conv", [name, f"w{k}", f"b{k}"], [f"conv{k}"], f"conv{k}", kernel_shape=[3, 3],
                                          pads=[1, 1, 1, 1], strides=[self.stride, self.stride]))
            nodes.append(self.activation_node(k))
            name = f"act{k}"
        constants += [tensor("dense_w", self.dense), tensor("dense_b", self.dense_bias)]
        nodes += [helper.make_node("GlobalAveragePool", [name], ["pool"], "pool"),
                  helper.make_node("Flatten", ["pool"], ["flat"], "flat"),
                  helper.make_node("Gemm", ["flat", "dense_w", "dense_b"], ["scores"], "dense", transB=1)]
        save(path, nodes, constants, (3, self.side, self.side), len(self.classes), metadata_of(self) if metadata is None else metadata)


def metadata_of(network):
    return {"sotto.mean": ",".join(map(str, network.mean)), "sotto.std": ",".join(map(str, network.std)),
            "sotto.classes": ",".join(network.classes)}


class EluNetwork(Network):
    """The same with Elu instead of squares."""

    @staticmethod
    def activation(x):
        return np.where(x < 0, np.expm1(np.minimum(x, 0)), x)

    @staticmethod
    def activation_node(k):
        return helper.make_node("Elu", [f"conv{k}"], [f"act{k}"], f"elu{k}")


class CubicNetwork(Network):
    """The same with third powers."""

    @staticmethod
    def activation(x):
        return x**3

    @staticmethod
    def activation_node(k):
        return helper.make_node("Pow", [f"conv{k}", "three"], [f"act{k}"], f"cube{k}")

    @staticmethod
    def activation_constants():
        return [tensor("three", np.array(3.0))]


class ReluNetwork(Network):
    """The same with Relu instead of squares."""

    @staticmethod
    def activation(x):
        return np.maximum(x, 0)

    @staticmethod
    def activation_node(k):
        return helper.make_node("Relu", [f"conv{k}"], [f"act{k}"], f"relu{k}")

    def ranges(self, images):
        """The largest magnitude of every Relu's input on these images, by its name."""
        found = {}

        def activation(x):
            found[f"relu{len(found)}"] = float(np.abs(x).max())
            return np.maximum(x, 0)

        self.activation = activation
        self.features(images)
        del self.activation
        return found

    def polynomial_scores(self, images, ranges, degree):
        """With the Chebyshev series of relu, cut off at this degree, over these ranges (docs/adr/0015)."""
        k = np.arange(1, degree // 2 + 1)
        series = np.zeros(degree + 1)
        series[:2] = 1 / np.pi, 0.5
        series[2::2] = -2 * (-1.0) ** k / (np.pi * (4 * k * k - 1))
        left = list(ranges.values())

        def activation(x):
            limit = left.pop(0)
            return limit * np.polynomial.chebyshev.chebval(x / limit, series)

        self.activation = activation
        scores = self.scores(images)
        del self.activation
        return scores


def as_stored(values):
    """Rounded to float32, as the file holds them."""
    return values.astype(np.float32).astype(np.float64)


def tensor(name, values):
    return numpy_helper.from_array(np.asarray(values, dtype=np.float32), name)


def save(path, nodes, constants, shape, outputs, metadata=None):
    """Writes a model with the input `image` and the output `scores`."""
    graph = helper.make_graph(nodes, "net",
                              [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", *shape])],
                              [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", outputs])], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, str(path))
