#!/usr/bin/env python3
"""Writes preprocessing and class names into an ONNX model, where Sotto reads them.

usage: add_metadata.py IN.onnx OUT.onnx --mean 0.49,0.48,0.45 --std 0.25,0.24,0.26 --classes cat,dog,...

mean and std are per channel, in units of pixel / 255. Needs python3-onnx.
"""
import argparse

import onnx


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--mean", required=True)
    parser.add_argument("--std", required=True)
    parser.add_argument("--classes", required=True)
    args = parser.parse_args()
    model = onnx.load(args.source)
    wanted = {"sotto.mean": args.mean, "sotto.std": args.std, "sotto.classes": args.classes}
    kept = [p for p in model.metadata_props if p.key not in wanted]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    for key, value in wanted.items():
        prop = model.metadata_props.add()
        prop.key, prop.value = key, value
    onnx.checker.check_model(model)
    onnx.save(model, args.target)


if __name__ == "__main__":
    main()
