#!/usr/bin/env python3
"""Exports small versions of well-known networks in every way that PyTorch has; runs them in float64 and encrypted.

usage: export_matrix.py --sotto BIN --json matrix.json [--only PATTERN] [--float] [--every]

BIN is build/release/bin. Needs PyTorch, torchvision, onnx, onnxscript and onnxruntime. Every network has AvgPool for
MaxPool and quadratic or ReLU activations, random weights and the normalisation of smooth random pictures, of which 128
calibrate its plan. Sotto's import is compared with ONNX Runtime for every export. Exports of a network
that are imported as the same nodes have the same plan up to constants; `sotto plan` shows whether the others have, too. One
export of each plan runs encrypted on 256 pictures, or 64 where that takes long (--every: all of them). Goes on where an earlier run with the same --json ended.

Ends with exit code 1 if float scores differ by more than 1e-3 of their spread, if fewer than 99 % of the labels agree
among the images without a mark, if a program crashes, or if exports of one network do not all run or are not all refused.
"""

import argparse
import contextlib
import fnmatch
import hashlib
import json
import logging
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnxruntime
import torch

import encrypted
import networks
import pictures

IMAGES, FEWER = 256, 64
SLOW = 90  # seconds predicted for IMAGES from which on FEWER do
FLOAT_IMAGES = 4
TOLERANCE = 1e-3
AGREEMENT = 0.99


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


def compare_float(run_float, path, values, pixels):
    """Sotto's float model against ONNX Runtime."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        pixels.tofile(folder / "pixels")
        done = subprocess.run([run_float, path, folder / "pixels", folder / "scores"], capture_output=True, text=True)
        if done.returncode != 0:
            return {"exit": done.returncode, "said": done.stderr.strip()}
        scores = np.fromfile(folder / "scores").reshape(len(pixels), -1)
    expected = encrypted.onnx_scores(path, values)
    imported = json.loads(done.stdout)
    if any("Softmax" in note for note in imported["notes"]):  # the import leaves them out
        scores = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        expected = np.log(expected) if expected.min() >= 0 else expected
    nodes = re.sub(r"   \S* <-", " <-", imported["network"])  # without names, which differ from exporter to exporter
    return {"exit": 0, "difference": float(np.abs(scores - expected).max() / expected.std()),
            "network": hashlib.sha256(nodes.encode()).hexdigest()}


class Network:
    """One network with one kind of activation, made and exported when it is needed."""

    def __init__(self, name, activation, folder):
        self.name, self.activation, self.folder = name, activation, folder
        self.shape = networks.builder_and_shape(name, activation)[1]
        self.net = None

    def export(self, way):
        """The file, or None if PyTorch cannot export it this way."""
        path = self.folder / f"{self.name}-{self.activation}-{way}.onnx"
        if path.exists():
            return path
        self.net = self.net or networks.make(self.name, self.activation)
        with silence():
            try:
                EXPORTS[way](self.net, networks.values_of(self.name, self.pixels(2)), path)
                onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])  # it can be read at all
            except Exception:  # whatever PyTorch throws
                path.unlink(missing_ok=True)
                return None
        return path

    def pixels(self, count):
        return pictures.smooth(count, self.shape, seed=4)

    def values(self, pixels):
        return networks.values_of(self.name, pixels).numpy()

    def calibration(self):
        """Options for `sotto`; a folder cannot hold flat pictures, an array can."""
        if len(self.shape) == 1:
            array = self.folder / f"calibration-{self.shape[0]}.npy"
            np.save(array, pictures.smooth(128, self.shape, seed=3))
            return ["--calibrate", array]
        folder = self.folder / "calibration" / "x".join(map(str, self.shape))
        if not folder.exists():
            pictures.save_folder(pictures.smooth(128, self.shape, seed=3), folder)
        return ["--calibrate", folder]


def options_of(args, network):
    return ["--memory", args.memory, *network.calibration()]


def plan_of(args, network, path):
    """For IMAGES, or for FEWER where those take long and fewer do not."""

    def planned(count):
        p = encrypted.plan(args.sotto / "sotto", path, count, options_of(args, network))
        return {**p, "images": count, "all_seconds": p["seconds"] * -(-count // p["batch"])} if p["exit"] == 0 else p

    p = planned(IMAGES)
    if p["exit"] or p["all_seconds"] <= SLOW:
        return p
    fewer = planned(FEWER)
    return fewer if fewer["exit"] == 0 and fewer["all_seconds"] < 0.7 * p["all_seconds"] else p


def line(name, text):
    print(f"{name:52} {text}", flush=True)


def run_network(args, results, network):
    """All exports of one network; the names of its results."""
    imported, planned, names = {}, {}, []  # by what was imported, by the shape of the plan: the first export of this kind
    for way in EXPORTS:
        name = f"{network.name}-{network.activation}-{way}"
        if not fnmatch.fnmatch(name, args.only):
            continue
        result = results[name] if name in results else {}
        if "float" not in result:
            path = network.export(way)
            if path is None:
                line(name, "not exported by PyTorch")
                continue
            pixels = network.pixels(FLOAT_IMAGES)
            result["float"] = compare_float(args.sotto / "run_float", path, network.values(pixels), pixels)
            results.add(name, result)
        names.append(name)
        if not args.float and result["float"]["exit"] == 0:
            same = imported.setdefault(result["float"]["network"], name)
            if same != name:
                result["same"] = results[same].get("same", same)
            else:
                if "plan" not in result:
                    result["plan"] = plan_of(args, network, network.export(way))
                p = result["plan"]
                first = planned.setdefault(json.dumps(p["shape"]) if p["exit"] == 0 else "refused", name)
                if first != name:
                    result["same"] = first
            results.add(name, result)
            if ("same" not in result or args.every) and "run" not in result and not args.plans:
                p = results[result.get("same", name)]["plan"]
                if p["exit"] == 0:
                    pixels = network.pixels(p["images"])
                    result["run"] = encrypted.evaluate(args.sotto / "sotto", network.export(way), pixels, network.values(pixels),
                                                       options_of(args, network))
                    results.add(name, result)
        line(name, text_of(result))
    return names


def text_of(r):
    f = r["float"]
    text = f"refused ({f['exit']}): {f['said']}" if f["exit"] else f"float {f['difference']:.0e}; "
    if "run" in r:
        text += encrypted.line_of_run(r["run"])
    elif "same" in r:
        text += f"as {r['same']}" + (" (same plan)" if "plan" in r else " (same import)")
    elif "plan" in r:
        text += encrypted.line_of_plan(r["plan"])
    return text


def faults_of(results, names):
    """What misses a must among exports of one network."""
    faults = []
    exits = {name: results[name].get("plan", results[name]["float"])["exit"] for name in names if
             results[name]["float"]["exit"] or "plan" in results[name]}
    for name in names:
        r = results[name]
        for stage in ("float", "plan", "run"):
            if stage in r and encrypted.crashed(r[stage]):
                faults.append(f"{name}: {stage} crashed: {r[stage]['said']}")
        if r["float"]["exit"] == 0 and r["float"]["difference"] > TOLERANCE:
            faults.append(f"{name}: float scores differ by {r['float']['difference']:.1e} of their spread")
        if "run" in r and r["run"]["exit"] == 0 and r["run"]["agreement_of_unmarked"] < AGREEMENT:
            faults.append(f"{name}: {encrypted.line_of_run(r['run'])}")
    if len(set(exits.values())) > 1:
        faults.append(f"only some exports are refused: {', '.join(n for n in exits if exits[n])}")
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sotto", type=pathlib.Path, default="build/release/bin", help="folder of sotto and run_float")
    parser.add_argument("--json", type=pathlib.Path, required=True, help="results; what they hold is not done again")
    parser.add_argument("--only", default="*", help="names that do, like '*-relu-dynamo-*' (default: all)")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for the exported models; those there are used")
    parser.add_argument("--memory", default="16G", help="most memory of an encrypted run (default 16G)")
    parser.add_argument("--float", action="store_true", help="only the import, in float64")
    parser.add_argument("--plans", action="store_true", help="import and plans, no encrypted runs")
    parser.add_argument("--every", action="store_true", help="run every export encrypted, not one of each plan")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    onnxruntime.set_default_logger_severity(3)
    results, table, faults = encrypted.Results(args.json), [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in networks.NETWORKS:
            for activation in ("quadratic", "relu"):
                names = run_network(args, results, Network(name, activation, folder))
                faults += faults_of(results, names)
                table += [(n, len(names)) for n in names if "same" not in results[n]]
    print("\none export of each plan, and how many exports its network has:")
    for name, count in table:
        line(name, f"1 of {count}; {text_of(results[name])}")
    runs = [results[name]["run"] for name, _ in table if "run" in results[name]]
    print(f"{len(results.all)} exports, {len(runs)} encrypted runs in {sum(r['all_seconds'] for r in runs) / 60:.0f} minutes, "
          f"{len(faults)} faults")
    for fault in faults:
        print("fault:", fault)
    return 1 if faults or not table else 0


if __name__ == "__main__":
    sys.exit(main())
