#!/usr/bin/env python3
"""Random small networks, encrypted, against ONNX Runtime.

Every network has random layers, shapes and weights; each layer's weights are multiplied by its own power of ten between
10^-3 and 10^3, which batch normalisation may or may not undo. Some have products of two values, as gates are, joined
channels, or a ReLU with maxima behind it. `sotto evaluate` compiles it with made-up calibration images, or refuses it; what
runs is compared with ONNX Runtime on the same random pictures.

    tests/outside/random_networks.py --sotto build/release/bin/sotto --first 0 --count 300 --json random.json

Needs numpy, onnx and onnxruntime. Goes on where an earlier run with the same --json ended. Ends with 1 if a network
gave wrong labels without a word: fewer labels agree than predicted, less two points, or less than 99 %.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

CLASSES = 10


class Builder:
    def __init__(self, rng, channels, side):
        self.rng, self.nodes, self.constants, self.count = rng, [], [], 0
        self.value, self.shape = "image", (channels, side, side)
        self.kinds = set()  # what it holds beside convolutions and squares

    def name(self, what):
        self.count += 1
        return f"{what}{self.count}"

    def constant(self, array):
        name = self.name("w")
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype=np.float32), name))
        return name

    def node(self, op, inputs, **attributes):
        out = self.name(op.lower())
        self.nodes.append(helper.make_node(op, inputs, [out], name=out, **attributes))
        return out

    def scale(self):
        return 10.0 ** self.rng.uniform(-3, 3) if self.rng.random() < 0.5 else 1.0

    def conv(self):
        c, h, w = self.shape
        k = int(self.rng.choice([1, 3, 3, 5]))
        stride = int(self.rng.choice([1, 1, 2])) if h >= 4 else 1
        pad = k // 2
        groups = c if self.rng.random() < 0.15 and c > 1 else 1
        out = c if groups > 1 else int(self.rng.integers(2, 9))
        scale = self.scale()
        weights = self.rng.normal(size=(out, c // groups, k, k)) * scale / np.sqrt(k * k * c / groups)
        bias = self.rng.normal(size=out) * 0.3 * scale
        self.value = self.node("Conv", [self.value, self.constant(weights), self.constant(bias)],
                               kernel_shape=[k, k], pads=[pad] * 4, strides=[stride] * 2, group=groups)
        self.shape = (out, (h + 2 * pad - k) // stride + 1, (w + 2 * pad - k) // stride + 1)

    def norm(self, images):
        """Batch normalisation that fits the values that arrive, as training leaves it."""
        x = self.run(images)
        mean, var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3)) + 1e-12
        c = self.shape[0]
        inputs = [self.value, self.constant(self.rng.uniform(0.5, 1.5, c)), self.constant(self.rng.normal(size=c) * 0.3),
                  self.constant(mean), self.constant(var)]
        self.value = self.node("BatchNormalization", inputs, epsilon=0.0)

    def activation(self):
        kind = self.rng.integers(0, 4)
        x = self.value
        if kind == 0:
            self.value = self.node("Mul", [x, x])
        elif kind == 1:
            a = self.node("Mul", [x, self.constant(self.rng.uniform(0.1, 0.5))])
            b = self.node("Add", [a, self.constant(self.rng.uniform(0.2, 1))])
            self.value = self.node("Mul", [x, b])
        elif kind == 2:
            self.value = self.node("Pow", [x, self.constant(2.0)])
        else:
            a = self.node("Mul", [self.node("Mul", [x, x]), self.constant(self.rng.normal(size=(self.shape[0], 1, 1)))])
            self.value = self.node("Add", [a, x])

    def pool(self):
        c, h, w = self.shape
        if h < 4:
            return
        self.value = self.node("AveragePool", [self.value], kernel_shape=[2, 2], strides=[2, 2])
        self.shape = (c, h // 2, w // 2)

    def residual(self):
        before, shape = self.value, self.shape
        c, h, w = shape
        scale = self.scale()
        weights = self.rng.normal(size=(c, c, 3, 3)) * scale / np.sqrt(9 * c)
        branch = self.node("Conv", [before, self.constant(weights)], kernel_shape=[3, 3], pads=[1] * 4)
        self.value = self.node("Add", [branch, before])

    def sized(self, value, channels, out, kernel=1):
        """A convolution that keeps the size."""
        scale = self.scale()
        weights = self.rng.normal(size=(out, channels, kernel, kernel)) * scale / np.sqrt(channels * kernel**2)
        bias = self.rng.normal(size=out) * 0.3 * scale
        return self.node("Conv", [value, self.constant(weights), self.constant(bias)], kernel_shape=[kernel] * 2,
                         pads=[kernel // 2] * 4)

    def gate(self):
        """Times a map of its own channels, a number for each channel, or a number for each pixel."""
        kind, x, c = int(self.rng.integers(0, 3)), self.value, self.shape[0]
        self.kinds.add(("gate", "gate per channel", "gate per pixel")[kind])
        if kind == 0:
            factor = self.sized(x, c, c, 3)
        elif kind == 1:
            factor = self.sized(self.node("GlobalAveragePool", [x]), c, c)
        else:
            factor = self.sized(x, c, 1, 3)
        self.value = self.node("Mul", [factor, x] if self.rng.random() < 0.5 else [x, factor])

    def join(self):
        """Channels of two branches, one of them squared."""
        self.kinds.add("join")
        c, h, w = self.shape
        a, b = self.sized(self.value, c, 3), self.sized(self.value, c, 2, 3)
        self.value = self.node("Concat", [self.node("Mul", [a, a]), b], axis=1)
        self.shape = (5, h, w)

    def maxima(self):
        """ReLU, and the largest of 2x2 pixels."""
        self.kinds.add("maxima")
        c, h, w = self.shape
        self.value = self.node("Relu", [self.value])
        if h >= 4:
            self.value = self.node("MaxPool", [self.value], kernel_shape=[2, 2], strides=[2, 2])
            self.shape = (c, h // 2, w // 2)

    def head(self):
        c, h, w = self.shape
        if self.rng.random() < 0.5:
            self.value = self.node("GlobalAveragePool", [self.value])
            features = c
        else:
            features = c * h * w
        self.value = self.node("Flatten", [self.value])
        scale = self.scale()
        weights = self.rng.normal(size=(CLASSES, features)) * scale / np.sqrt(features)
        self.value = self.node("Gemm", [self.value, self.constant(weights), self.constant(np.zeros(CLASSES))], transB=1)

    def model(self, side_in):
        graph = helper.make_graph(
            self.nodes, "random", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", *side_in])],
            [helper.make_tensor_value_info(self.value, TensorProto.FLOAT, None)], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)

    def run(self, images):
        session = onnxruntime.InferenceSession(self.model(images.shape[1:]).SerializeToString(),
                                               providers=["CPUExecutionProvider"])
        return session.run(None, {"image": images})[0]


def make(seed):
    """A model, 256 pictures for it and the kinds of its layers. The last layer is shifted so that labels vary, as training leaves it."""
    rng = np.random.default_rng(seed)
    channels, side = int(rng.choice([1, 3])), int(rng.choice([6, 8, 12, 16]))
    pictures = rng.integers(0, 256, size=(256, channels, side, side), dtype=np.uint8)
    # Pictures of something: noise smoothed by a random amount, so that they differ from each other.
    level = rng.uniform(0, 255, size=(256, channels, 1, 1))
    pictures = (rng.uniform(0.2, 0.8) * pictures + 0.2 * level).clip(0, 255).astype(np.uint8)
    images = (pictures / 255.0).astype(np.float32)
    b = Builder(rng, channels, side)
    for _ in range(int(rng.integers(0, 4))):
        b.conv()
        if rng.random() < 0.5:
            b.norm(images)
        if rng.random() < 0.8:
            b.activation()
        if rng.random() < 0.3:
            b.pool()
        if rng.random() < 0.25:
            b.residual()
        if rng.random() < 0.2:
            b.gate()
        if rng.random() < 0.1:
            b.join()
        if rng.random() < 0.04:
            b.norm(images)
            b.maxima()
    b.head()
    scores = b.run(images)
    mean, spread = scores.mean(axis=0), scores.std(axis=0)
    spread[spread == 0] = 1
    b.value = b.node("Mul", [b.node("Sub", [b.value, b.constant(mean)]), b.constant(1 / spread)])
    return b.model(images.shape[1:]), pictures, sorted(b.kinds)


def run(sotto, seed, folder):
    model, pictures, kinds = make(seed)
    onnx.save(model, folder / "net.onnx")
    np.save(folder / "images.npy", pictures)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    exact = session.run(None, {"image": (pictures / 255.0).astype(np.float32)})[0]
    started = time.time()
    p = subprocess.run([sotto, "evaluate", folder / "net.onnx", "--data", folder / "images.npy", "--json",
                        folder / "r.json", "--out", folder / "s.npy"], capture_output=True, text=True)
    result = {"seed": seed, "exit": p.returncode, "seconds": round(time.time() - started, 1), "kinds": kinds}
    if p.returncode != 0:
        result["said"] = p.stderr.strip().splitlines()[-1] if p.stderr.strip() else ""
        return result
    report, scores = json.loads((folder / "r.json").read_text()), np.load(folder / "s.npy")
    marked = set(report["doubtful"])
    kept = [k for k in range(len(exact)) if k not in marked]
    # A label that ties with the best one in single precision is right.
    chosen = np.take_along_axis(exact[kept], scores[kept].argmax(1)[:, None], 1)[:, 0]
    agree = float(np.mean(chosen >= exact[kept].max(1) - 1e-5 * np.abs(exact).max())) if kept else 1.0
    result.update(agreement=agree, predicted=report["predicted_label_agreement"], marked=len(marked),
                  rms=float(np.sqrt(np.mean((scores[kept] - exact[kept]) ** 2))) if kept else 0.0,
                  bootstraps=report["bootstraps"])
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sotto", default="build/release/bin/sotto")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--json", type=pathlib.Path, required=True)
    o = parser.parse_args()
    results = json.loads(o.json.read_text()) if o.json.exists() else []
    done = {r["seed"] for r in results}
    for seed in range(o.first, o.first + o.count):
        if seed in done:
            continue
        with tempfile.TemporaryDirectory() as folder:
            results.append(run(o.sotto, seed, pathlib.Path(folder)))
        print(results[-1], flush=True)
        o.json.write_text(json.dumps(results, indent=1))
    ran = [r for r in results if r["exit"] == 0]
    wrong = [r for r in ran if r["agreement"] < min(r["predicted"] - 0.02, 0.99)]
    crashed = [r for r in results if r["exit"] not in (0, 3, 5)]
    off = [r for r in ran if abs(r["agreement"] - r["predicted"]) > 0.02]
    print(f"{len(results)} networks: {len(ran)} ran, {len(results) - len(ran) - len(crashed)} refused, "
          f"{len(crashed)} crashed; agreement least {min((r['agreement'] for r in ran), default=1):.4f}, "
          f"predictions more than 2 points off: {len(off)}, wrong without a word: {len(wrong)}")
    for r in wrong + crashed:
        print(r)
    return 1 if wrong or crashed else 0


if __name__ == "__main__":
    sys.exit(main())
