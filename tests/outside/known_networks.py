#!/usr/bin/env python3
"""Networks of their full size: MobileNet-like and DenseNet-like ones for CIFAR-10, ResNet-18 for 64x64 pictures, encrypted.

usage: known_networks.py --sotto BIN --json known.json [--data cifar10:DIR] [--only WORD] [--plans]

All have quadratic activations, AvgPool for MaxPool, random weights, and the normalisation of the pictures that calibrate
their plan: training images of CIFAR-10 (enlarged where the network reads 64x64), or smooth random ones without --data. Other
pictures of the kind run encrypted and are compared with ONNX Runtime: time, memory, agreement of labels, rms error of the
scores over their spread. Goes on where an earlier run with the same --json ended.

Ends with exit code 1 if the error of a ResNet-18 exceeds 1 % of the spread, if fewer than 99 % of the labels agree among the
images without a mark, or if a network is refused or crashes.
"""

import argparse
import contextlib
import io
import logging
import pathlib
import sys
import tempfile
import warnings

import torch
import torchvision
from torch import nn

import encrypted
import networks
import pictures

ERROR = 0.01
AGREEMENT = 0.99
CALIBRATION = 256


class Separable(nn.Module):
    """A depthwise and a pointwise convolution, as in MobileNet."""

    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.depthwise = networks.block(c_in, c_in, stride, c_in)
        self.pointwise = networks.block(c_in, c_out, kernel=1)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


class MobileNet(nn.Module):
    """MobileNet for CIFAR: half as wide, without the repeated blocks in the middle."""

    def __init__(self):
        super().__init__()
        layers, channels = [networks.block(3, 16)], 16
        for width, stride in ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1)):
            layers.append(Separable(channels, width, stride))
            channels = width
        self.features, self.last = nn.Sequential(*layers), nn.Linear(channels, 10)

    def forward(self, x):
        return self.last(self.features(x).mean((2, 3)))


def densenet():
    """DenseNet with bottlenecks for CIFAR: growth 12, three blocks of four layers."""
    net = networks.DenseNet(12, (4, 4, 4), 24, 2, num_classes=10)
    net.features.conv0 = nn.Conv2d(3, 24, 3, padding=1, bias=False)
    net.features.pool0 = nn.Identity()
    return net


def resnet18(width=64, cifar_stem=False):
    """ResNet-18 of torchvision; cifar_stem: a convolution of 3x3 without stride and without a pool in front."""
    net = networks.narrow(torchvision.models.resnet18(num_classes=10), 64 // width)
    if cifar_stem:
        net.conv1, net.maxpool = nn.Conv2d(3, width, 3, padding=1, bias=False), nn.Identity()
    return net


# Builder, size of the pictures, how many.
NETWORKS = {
    "mobilenet-cifar10": (MobileNet, 32, 256),
    "densenet-cifar10": (densenet, 32, 256),
    "resnet18-64": (resnet18, 64, 16),
    "resnet18-64-cifar-stem": (lambda: resnet18(cifar_stem=True), 64, 16),
    "resnet18-64-half": (lambda: resnet18(32), 64, 16),
    "resnet18-64-half-cifar-stem": (lambda: resnet18(32, True), 64, 16),
}


def some_pictures(source, size, count, train):
    if not source:
        return pictures.smooth(count, (3, size, size), seed=5 if train else 6)
    images = pictures.cifar(source, train)[:count]
    if size == images.shape[2]:
        return images
    return pictures.enlarge(pictures.enlarge(images, size, 2), size, 3).round().astype("uint8")


def export(build, images, path):
    """Of `images` those that do not differ by more than their number calibrate it."""
    torch.manual_seed(1)
    values = torch.from_numpy(images) / 255
    net = networks.calibrated(networks.swap(build(), True), values, True)
    with contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(net, (values[:1],), path, dynamo=False, opset_version=17, input_names=["input"],
                          output_names=["output"], dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}})


def depthwise_line(layers):
    """Seconds of products and of all else, of depthwise and of pointwise layers; empty without such layers."""
    kinds = {kind: [layer for layer in layers if kind in layer[0]] for kind in ("depthwise", "pointwise")}
    if not kinds["depthwise"]:
        return ""
    return "; ".join(f"{kind}: {sum(m for _, _, m, _ in of_kind):.1f} s of products, "
                     f"{sum(r + a for _, r, _, a in of_kind):.1f} s of key switching" for kind, of_kind in kinds.items())


def fault_of(name, result):
    if "run" not in result:
        return f"{name}: {encrypted.line_of_plan(result['plan'])}" if result["plan"]["exit"] else None
    run = result["run"]
    if run["exit"] or run["agreement_of_unmarked"] < AGREEMENT or ("resnet18" in name and run["error"] > ERROR):
        return f"{name}: {encrypted.line_of_run(run)}"
    return None


def run_network(args, results, name, folder):
    build, size, count = NETWORKS[name]
    result = results[name] if name in results else {}
    calibration = some_pictures(args.data, size, CALIBRATION, True)
    path = folder / f"{name}.onnx"
    export(build, calibration, path)
    options = ["--calibrate", pictures.save_folder(calibration, folder / f"calibration-{size}"), "--memory", args.memory]
    if "plan" not in result:
        result["plan"] = encrypted.plan(args.sotto / "sotto", path, count, options)
        results.add(name, result)
        print(f"{name}: plan: {encrypted.line_of_plan(result['plan'])}", flush=True)
    if result["plan"]["exit"] == 0 and not args.plans:
        images = some_pictures(args.data, size, count, False)
        values = torch.from_numpy(images).div(255).numpy()
        result["run"] = encrypted.evaluate(args.sotto / "sotto", path, images, values, options)
        results.add(name, result)
        print(f"{name}: {encrypted.line_of_run(result['run'])}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sotto", type=pathlib.Path, default="build/release/bin", help="folder of sotto")
    parser.add_argument("--json", type=pathlib.Path, required=True, help="results; what they hold is not done again")
    parser.add_argument("--data", help="cifar10:DIR with CIFAR's binary files (default: smooth random pictures)")
    parser.add_argument("--only", default="", help="networks whose name holds this word")
    parser.add_argument("--memory", default="18G", help="most memory of an encrypted run (default 18G)")
    parser.add_argument("--plans", action="store_true", help="only say what the runs would take")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    results = encrypted.Results(args.json)
    names = [name for name in NETWORKS if args.only in name]
    with tempfile.TemporaryDirectory() as temporary:
        for name in names:
            if name not in results or ("plan" if args.plans else "run") not in results[name]:
                run_network(args, results, name, pathlib.Path(temporary))
    print()
    for name in names:
        r = results[name]
        said = encrypted.line_of_run(r["run"]) if "run" in r else "plan: " + encrypted.line_of_plan(r["plan"])
        print(f"{name}: {said}")
        layers = depthwise_line(r.get("run", r["plan"]).get("layers", []))
        if layers:
            print(f"    {layers}")
    faults = [fault for fault in (fault_of(name, results[name]) for name in names) if fault]
    for fault in faults:
        print("fault:", fault)
    return 1 if faults or not names else 0


if __name__ == "__main__":
    sys.exit(main())
