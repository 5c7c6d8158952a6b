#!/usr/bin/env python3
"""Writes preprocessing and class names into an ONNX model, where Sotto reads them.

usage: add_metadata.py IN.onnx OUT.onnx [--mean 0.49,0.48,0.45] [--std 0.25,0.24,0.26] [--classes cat,dog,...]

mean and std are per channel (one number: for all), in units of pixel / 255. What is not given stays as it is. Everything
else of the model stays as it is, whatever its version; data that lie in other files are put into OUT.onnx. Needs
python3-onnx.
"""
import argparse
import pathlib
import sys

import onnx
from onnx.external_data_helper import load_external_data_for_model

LEAST_MEAN, MOST_MEAN, MOST_STD = -0.5, 1.5, 4  # as in src/graph/onnx_metadata.cpp
LIMIT = 2**31 - 1  # bytes of one file


def numbers(text):
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no list of numbers") from None


def mean(text):
    for value in numbers(text):
        if not LEAST_MEAN <= value <= MOST_MEAN:
            raise argparse.ArgumentTypeError(f"{value:g} is no mean of pixels from 0 to 1; divide mean and std by 255")
    return text


def std(text):
    for value in numbers(text):
        if not 0 < value <= MOST_STD:
            raise argparse.ArgumentTypeError(
                f"{value:g} is no std of pixels from 0 to 1" + ("; divide mean and std by 255" if value > 0 else ""))
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", metavar="IN.onnx")
    parser.add_argument("target", metavar="OUT.onnx")
    parser.add_argument("--mean", type=mean)
    parser.add_argument("--std", type=std)
    parser.add_argument("--classes")
    args = parser.parse_args()
    given = {"sotto.mean": args.mean, "sotto.std": args.std, "sotto.classes": args.classes}
    wanted = {key: value for key, value in given.items() if value is not None}
    if not wanted:
        parser.error("nothing to write: give --mean, --std or --classes")
    # The checker is of no use here: it refuses models that are newer than itself.
    try:
        model = onnx.load(args.source, load_external_data=False)
        load_external_data_for_model(model, str(pathlib.Path(args.source).resolve().parent))
    except Exception as e:  # protobuf's and the system's errors have no common base
        sys.exit(f"add_metadata.py: {args.source}: cannot read the model: {e}")
    kept = [p for p in model.metadata_props if p.key not in wanted]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    for key, value in wanted.items():
        prop = model.metadata_props.add()
        prop.key, prop.value = key, value
    if model.ByteSize() > LIMIT:
        sys.exit(f"add_metadata.py: {args.source}: the model is larger than 2 GiB")
    pathlib.Path(args.target).write_bytes(model.SerializeToString())


if __name__ == "__main__":
    main()
