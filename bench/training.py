#!/usr/bin/env python3
"""Trains a network on encrypted images and checks what came out against the float twin.

    bench/training.py --data mnist:DIR --test mnist:DIR --out build/bench/training

The head of a deep network, whose layers in front of it run once for every image:

    bench/training.py --model models/resnet34-cifar100.onnx --spec models/train/head-cifar10.toml --data cifar10-train:DIR \\
        --count 4096 --test cifar10:DIR --calibrate cifar100-train:DIR --least-accuracy 0.69 --out build/bench/head

Runs `sotto train` with a work folder in OUT, so an interrupted measurement goes on behind its last finished step, and writes
OUT/training.json (the results with the machine and the checks) and OUT/training.html. Checked: no weight or image left its range; after
every tenth step the weights are within 2 % of the twin's and the accuracy on the test images within 0.5 points; the accuracy
at the end is at least --least-accuracy. Exit codes: 0, 1 if a check failed, 2 usage, that of `sotto train` if it failed.
"""
import argparse
import json
import pathlib
import subprocess
import sys

from machine import ROOT, setup

MOST_WEIGHT_ERROR = 0.02
MOST_ACCURACY_ERROR = 0.005
EVERY = 10


def arguments():
    p = argparse.ArgumentParser(description="Measures sotto train; writes training.json and training.html.")
    p.add_argument("--data", required=True, nargs="+", help="images with labels to train on, as for sotto train")
    p.add_argument("--test", required=True, nargs="+", help="images with labels to measure accuracy on")
    p.add_argument("--model", default=str(ROOT / "models/train/lenet-mnist.onnx"))
    p.add_argument("--spec", default=str(ROOT / "models/train/mnist.toml"))
    p.add_argument("--calibrate", nargs="+", help="public images to measure on the layers that run once for every image")
    p.add_argument("--count", type=int, help="images to train on (default: all)")
    p.add_argument("--steps", type=int, help="steps, in place of the spec's")
    p.add_argument("--least-accuracy", type=float, default=0.94, help="at the end (default 0.94)")
    p.add_argument("--out", type=pathlib.Path, default=ROOT / "build/bench/training")
    p.add_argument("--sotto", type=pathlib.Path, default=ROOT / "build/release/bin/sotto", help="the program to measure")
    return p.parse_args()


def tenth_steps(values):
    """(number, value) of every tenth step and the last one."""
    last = len(values)
    return [(k, values[k - 1]) for k in range(1, last + 1) if k % EVERY == 0 or k == last]


def problems(result, least_accuracy):
    """What is wrong with a result, one line each."""
    found = []
    if result["overflow_step"] is not None:
        found.append(f"weights left their range in step {result['overflow_step'] + 1}")
    if result["images_out_of_range"]:
        found.append(f"{result['images_out_of_range']} images left the range of the layers in front of those that are trained")
    for step, error in tenth_steps(result["weight_relative_errors"]):
        if error is None or not error <= MOST_WEIGHT_ERROR:
            found.append(f"after step {step} the weights differ from the twin's by {error}, at most {MOST_WEIGHT_ERROR} is allowed")
    accuracies = zip(tenth_steps(result["accuracies"]), tenth_steps(result["float_accuracies"]))
    for (step, encrypted), (_, plain) in accuracies:
        if encrypted is None or not abs(encrypted - plain) <= MOST_ACCURACY_ERROR:
            found.append(f"after step {step} the accuracy is {encrypted}, the twin's {plain}")
    if result["accuracy"] is None or not result["accuracy"] >= least_accuracy:
        found.append(f"the accuracy is {result['accuracy']}, at least {least_accuracy} is asked for")
    return found


def shown(value, form, factor=1):
    """A number in this form; one that is unknown, as behind weights that left their range, is said to be so."""
    return "unknown" if value is None else format(factor * value, form)


def main():
    o = arguments()
    o.out.mkdir(parents=True, exist_ok=True)
    results = o.out / "sotto.json"
    command = [o.sotto, "train", o.model, "--spec", o.spec, "--data", *o.data, "--test", *o.test, "--work", o.out / "work",
               "--out", o.out / "trained.onnx", "--json", results, "--report", o.out / "training.html"]
    if o.calibrate:
        command += ["--calibrate", *o.calibrate]
    if o.count:
        command += ["--count", str(o.count)]
    if o.steps:
        command += ["--steps", str(o.steps)]
    code = subprocess.run([str(c) for c in command], check=False).returncode
    if code not in (0, 6):  # 6: doubtful, which is looked at below
        return code
    result = json.loads(results.read_text())
    wrong = problems(result, o.least_accuracy)
    record = {"setup": setup(o.sotto, o.model, o.data), "spec": pathlib.Path(o.spec).read_text(), "problems": wrong, "result": result}
    (o.out / "training.json").write_text(json.dumps(record, indent=1) + "\n")
    for line in wrong:
        print(f"training.py: {line}", file=sys.stderr)
    print(f"{o.out / 'training.json'}: {result['steps']} steps, {shown(result['seconds_per_step'], '.1f')} s each, "
          f"accuracy {shown(result['accuracy'], '.2f', 100)} % (float {shown(result['float_accuracy'], '.2f', 100)} %)")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
