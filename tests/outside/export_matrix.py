#!/usr/bin/env python3
"""Exports small versions of well-known networks in every way that PyTorch has, and compares Sotto's import with ONNX Runtime.

usage: export_matrix.py RUN_FLOAT [--only WORD] [--keep DIR]

RUN_FLOAT is build/release/bin/run_float. Needs PyTorch, torchvision, onnx, onnxscript and onnxruntime; takes some minutes.
Every network has AvgPool for MaxPool and quadratic or ReLU activations, random weights and the statistics of random
pictures. Ends with exit code 1 if a score differs by more than 1e-3 of the scores' spread or a model is refused.
"""

import argparse
import contextlib
import json
import logging
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnxruntime
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

IMAGES = 4
TOLERANCE = 1e-3


class Quadratic(nn.Module):
    """a x^2 + b x + c, with an a that keeps the sums of residual networks from growing beyond all bounds."""

    def __init__(self):
        super().__init__()
        self.abc = nn.Parameter(torch.tensor([0.02, 0.5, 0.1]))

    def forward(self, x):
        return self.abc[0] * x * x + self.abc[1] * x + self.abc[2]


def swap(module, quadratic):
    """AvgPool for MaxPool, and quadratic or ReLU activations for all."""
    for name, child in module.named_children():
        if isinstance(child, nn.MaxPool2d):
            pool = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode, False)
            setattr(module, name, pool)
        elif isinstance(child, (nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish)):
            setattr(module, name, Quadratic() if quadratic else nn.ReLU())
        else:
            swap(child, quadratic)
    return module


def block(c_in, c_out, stride=1, groups=1, kernel=3):
    conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.ReLU())


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 5), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 5),
                                      nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
        self.first, self.norm, self.act, self.last = nn.Linear(128, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10)
        self.end = nn.LogSoftmax(1)

    def forward(self, x):
        x = self.features(x)
        x = x.view(x.size(0), -1)
        return self.end(self.last(self.act(self.norm(self.first(x)))))


class Perceptron(nn.Module):
    """A flat input that is scaled inside."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 10))

    def forward(self, x):
        return self.layers((x - 0.5) * 2)


class Vgg(nn.Module):
    def __init__(self):
        super().__init__()
        layers, channels = [], 3
        for width in (8, "M", 12, "M", 16, 16, "M"):
            layers += [nn.MaxPool2d(2, 2)] if width == "M" else [block(channels, width)]
            channels = channels if width == "M" else width
        self.features, self.pool = nn.Sequential(*layers), nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(nn.Linear(64, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(), nn.Linear(24, 10))

    def forward(self, x):
        return self.classifier(torch.flatten(self.pool(self.features(x)), 1))


class MobileNet(nn.Module):
    """Version 1: depthwise and pointwise convolutions."""

    def __init__(self):
        super().__init__()
        layers, channels = [block(3, 8, 2)], 8
        for width, stride in ((16, 1), (24, 2), (24, 1), (32, 2)):
            layers += [block(channels, channels, stride, channels), block(channels, width, kernel=1)]
            channels = width
        self.features, self.last = nn.Sequential(*layers), nn.Linear(32, 10)

    def forward(self, x):
        x = self.features(x)
        return self.last(F.avg_pool2d(x, 4).reshape(-1, 32))


class OptionA(nn.Module):
    """A block of the CIFAR ResNets whose shortcut picks every second pixel and pads channels with zeros."""

    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.stride, self.more = stride, c_out - c_in
        self.a, self.b, self.act = block(c_in, c_out, stride), block(c_out, c_out), nn.ReLU()

    def forward(self, x):
        shortcut = x
        if self.stride != 1:
            shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return self.act(self.b(self.a(x)) + shortcut)


class OptionAConcat(OptionA):
    def forward(self, x):
        shortcut = x[:, :, ::2, ::2] if self.stride != 1 else x
        if self.more:
            shortcut = torch.cat((shortcut, shortcut[:, : self.more] * 0), 1)
        return self.act(self.b(self.a(x)) + shortcut)


class CifarResNet(nn.Module):
    def __init__(self, kind=OptionA):
        super().__init__()
        self.stem = block(3, 8)
        self.blocks = nn.Sequential(kind(8, 8, 1), kind(8, 16, 2), kind(16, 32, 2))
        self.last = nn.Linear(32, 10)

    def forward(self, x):
        x = self.blocks(self.stem(x))
        return self.last(x.mean(3).mean(2))


class Padded(nn.Module):
    """Pads, crops, ceil_mode, uneven strides, and a softmax at the end."""

    def __init__(self):
        super().__init__()
        self.a = nn.Sequential(nn.ZeroPad2d((1, 2, 0, 1)), nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
        self.b = nn.Sequential(nn.AvgPool2d(3, 2, 1, True, True), nn.ZeroPad2d((-1, 1, 2, -1)), block(6, 8, (1, 2)))
        self.c, self.last, self.end = nn.AvgPool2d(3, 2, 1, True, False), nn.Linear(8, 10), nn.Softmax(-1)

    def forward(self, x):
        x = self.c(self.b(F.pad(self.a(x), [1, 0, 0, 1])))
        x = F.adaptive_avg_pool2d(x, 1).squeeze(3).squeeze(2)
        return self.end(self.last(x))


class Joined(nn.Module):
    """Chunks, a stacked shuffle, concatenation, transposes of a flattened map."""

    def __init__(self):
        super().__init__()
        self.stem, self.left, self.right = block(3, 8), block(4, 4), block(4, 8)
        self.last = nn.Linear(12 * 16, 10)

    def forward(self, x):
        a, b = self.stem(x).chunk(2, 1)
        x = torch.cat([self.left(a), self.right(b)], 1)
        n, c, h, w = x.shape
        x = x.view(n, 3, c // 3, h, w).transpose(1, 2).reshape(n, c, h, w)
        x = F.avg_pool2d(x, 4)
        return self.last(x.permute(0, 2, 3, 1).flatten(1))


class RawPixels(nn.Module):
    """Bytes, scaled and normalised inside."""

    def __init__(self):
        super().__init__()
        self.register_buffer("middle", torch.tensor([0.49, 0.48, 0.45]).view(1, 3, 1, 1))
        self.register_buffer("spread", torch.tensor([0.25, 0.24, 0.26]).view(1, 3, 1, 1))
        self.net = CifarResNet()

    def forward(self, x):
        return self.net((x.float() / 255 - self.middle) / self.spread)


def resnet(kind, layers):
    net = torchvision.models.resnet.ResNet(kind, layers, num_classes=10)
    return narrow(net)


def narrow(net, keep=4):
    """Every `keep`-th channel of a ResNet of torchvision, which has no option for that."""
    for name, m in list(net.named_modules()):
        if isinstance(m, nn.Conv2d):
            new = nn.Conv2d(m.in_channels if m.in_channels == 3 else m.in_channels // keep, m.out_channels // keep,
                            m.kernel_size, m.stride, m.padding, bias=False)
        elif isinstance(m, nn.BatchNorm2d):
            new = nn.BatchNorm2d(m.num_features // keep)
        elif isinstance(m, nn.Linear):
            new = nn.Linear(m.in_features // keep, m.out_features)
        else:
            continue
        parent = net.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], new)
    return net


R = torchvision.models.resnet
NETWORKS = {
    "lenet": (LeNet, (1, 28, 28)),
    "perceptron": (Perceptron, (64,)),
    "vgg": (Vgg, (3, 32, 32)),
    "resnet18": (lambda: resnet(R.BasicBlock, [2, 2, 2, 2]), (3, 64, 64)),
    "resnet34": (lambda: resnet(R.BasicBlock, [3, 4, 6, 3]), (3, 32, 32)),
    "resnet50": (lambda: resnet(R.Bottleneck, [3, 4, 6, 3]), (3, 32, 32)),
    "mobilenet1": (MobileNet, (3, 32, 32)),
    "mobilenet2": (lambda: torchvision.models.MobileNetV2(num_classes=10, width_mult=0.25), (3, 32, 32)),
    "densenet": (lambda: torchvision.models.DenseNet(8, (2, 3, 2), 8, num_classes=10), (3, 32, 32)),
    "squeezenet": (lambda: torchvision.models.SqueezeNet("1_1", num_classes=10), (3, 64, 64)),
    "shufflenet": (lambda: torchvision.models.ShuffleNetV2([2, 2, 2], [8, 16, 24, 32, 48], num_classes=10), (3, 32, 32)),
    "option-a": (CifarResNet, (3, 16, 16)),
    "option-a-concat": (lambda: CifarResNet(OptionAConcat), (3, 16, 16)),
    "padded": (Padded, (3, 15, 14)),
    "joined": (Joined, (3, 16, 16)),
    "raw-pixels": (RawPixels, (3, 16, 16)),
}


def make(build, shape, quadratic, raw):
    torch.manual_seed(1)
    net = swap(build(), quadratic)
    for m in net.modules():
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)):
            m.momentum = None  # the mean of all batches
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.uniform_(m.bias, -0.5, 0.5)
    x = torch.rand(32, *shape)
    with torch.no_grad():
        net.train()(x * 255 if raw else x)
    return net.eval()


def script(opset, dynamic=True, **options):
    def export(net, x, path):
        axes = {"input": {0: "batch"}, "output": {0: "batch"}} if dynamic else None
        torch.onnx.export(net, (x[:1],), path, dynamo=False, opset_version=opset, input_names=["input"],
                          output_names=["output"], dynamic_axes=axes, **options)
    return export


def dynamo(opset, dynamic=True, **options):
    def export(net, x, path):
        shapes = ({0: torch.export.Dim("batch")},) if dynamic else None
        torch.onnx.export(net, (x[:2] if dynamic else x[:1],), path, dynamo=True, opset_version=opset,
                          input_names=["input"], output_names=["output"], dynamic_shapes=shapes, verbose=False, **options)
    return export


EXPORTS = {
    "script-11": script(11),
    "script-11-fixed": script(11, False),
    "script-13-unfolded": script(13, do_constant_folding=False),
    "script-14-inputs": script(14, keep_initializers_as_inputs=True),
    "script-17": script(17),
    "script-17-training-kept": script(17, False, training=torch.onnx.TrainingMode.PRESERVE),
    "script-20": script(20),
    "dynamo-18": dynamo(18, external_data=False),
    "dynamo-18-fixed-external": dynamo(18, False, external_data=True),
    "dynamo-20-unoptimized": dynamo(20, optimize=False, external_data=False),
    "dynamo-22": dynamo(22, external_data=True),
}


@contextlib.contextmanager
def silence():
    """Nothing on stdout and stderr, not even from C++."""
    sys.stdout.flush()
    kept = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1), os.dup2(nowhere, 2)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept[0], 1), os.dup2(kept[1], 2)
        for descriptor in (*kept, nowhere):
            os.close(descriptor)


def compare(run_float, path, shape, raw, folder):
    pixels = np.random.default_rng(1).integers(0, 256, (IMAGES, *shape), dtype=np.uint8)
    pixels.tofile(folder / "pixels")
    done = subprocess.run([run_float, path, folder / "pixels", folder / "scores"], capture_output=True, text=True)
    if done.returncode != 0:
        return f"REFUSED ({done.returncode}): {done.stderr.strip()}"
    imported = json.loads(done.stdout)
    scores = np.fromfile(folder / "scores").reshape(IMAGES, -1)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x = pixels if raw else (pixels / 255).astype(np.float32)
    expected = np.concatenate([session.run(None, {"input": x[i : i + 1]})[0] for i in range(IMAGES)])
    if any("Softmax" in note for note in imported["notes"]):  # the import leaves them out
        scores = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        expected = np.log(expected) if expected.min() >= 0 else expected
    difference = np.abs(scores - expected).max() / expected.std()
    word = "ok" if difference < TOLERANCE else "DIFFERS"
    return f"{word} ({difference:.1e} of the spread)"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_float")
    parser.add_argument("--only", default="", help="networks and exports whose name holds this word")
    parser.add_argument("--keep", help="folder for the exported models")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    onnxruntime.set_default_logger_severity(3)
    bad = count = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(args.keep or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for network, (build, shape) in NETWORKS.items():
            for activation in ("quadratic", "relu"):
                raw = network == "raw-pixels"
                net = None
                for way, export in EXPORTS.items():
                    name = f"{network}-{activation}-{way}"
                    if args.only not in name:
                        continue
                    net = net or make(build, shape, activation == "quadratic", raw)
                    x = torch.randint(0, 256, (2, *shape), dtype=torch.uint8) if raw else torch.rand(2, *shape)
                    path = folder / f"{name}.onnx"
                    try:
                        with silence():
                            export(net, x, path)
                    except Exception as e:  # PyTorch cannot export it this way
                        print(f"{name:55} not exported: {type(e).__name__}: {str(e).splitlines()[0][:80]}", flush=True)
                        continue
                    count += 1
                    result = compare(args.run_float, path, shape, raw, folder)
                    bad += not result.startswith("ok")
                    print(f"{name:55} {result}", flush=True)
    print(f"{count - bad} of {count} exported models agree with ONNX Runtime")
    return 1 if bad or not count else 0


if __name__ == "__main__":
    sys.exit(main())
