#!/usr/bin/env python3
"""Prints the figures of bench/run.sh as a Markdown table: summary.py RESULTS_FOLDER."""
import json
import pathlib
import sys


def main():
    folder = pathlib.Path(sys.argv[1])
    kernels = json.loads((folder / "kernels.json").read_text())
    two = json.loads((folder / "keyswitch-2-threads.json").read_text())
    r = json.loads((folder / "resnet20-1024.json").read_text())
    best = max((b for b in kernels if b["benchmark"] == "ntt" and b["ring"] == "conjugate-invariant"), key=lambda b: b["times_faster_than_scalar"])
    switch = next(b for b in kernels if b["benchmark"] == "keyswitch" and b["limbs"] == 20)
    switch2 = next(b for b in two if b["limbs"] == 20)
    conv = max((b for b in kernels if b["benchmark"] == "conv"), key=lambda b: b["gmac_per_second"])
    rows = [
        ("ResNet-20, CIFAR-10, batch 1,024: inference per image", f"{r['amortized_seconds_per_image']:.3f} s"),
        ("peak memory of the inference process", f"{r['peak_rss_bytes'] / 1e9:.1f} GB"),
        ("labels that agree with the float model", f"{100 * r['label_agreement']:.2f} %"),
        ("accuracy, encrypted / float", f"{100 * r['accuracy']:.2f} % / {100 * r['plain_accuracy']:.2f} %"),
        ("evaluation keys / encrypted input / output", f"{r['eval_key_bytes'] / 1e6:.0f} MB / {r['input_bytes'] / 1e6:.0f} MB / {r['output_bytes'] / 1e6:.1f} MB"),
        ("security, log2(QP), ring rank", f"{r['security_bits']} bits, {r['log2_qp']:.0f}, {r['ring_dimension']}"),
        (f"NTT of 65,536 points, one core ({best['kernels']})", f"{best['forward_us']:.0f} us, {best['times_faster_than_scalar']:.1f} x scalar"),
        ("rotation at 20 limbs, one core", f"{switch['rotate_ms']:.1f} ms, {switch['ntt_equivalents']:.0f} NTTs"),
        ("rotation at 20 limbs, two cores", f"{switch2['rotate_ms']:.1f} ms"),
        (f"convolution product, one core ({conv['kernels']})", f"{conv['gmac_per_second']:.1f} G multiply-adds/s"),
    ]
    print("| figure | measured |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
