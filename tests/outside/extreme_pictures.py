#!/usr/bin/env python3
"""Extreme pictures in batches of ordinary ones: what is wrong without a mark, and what is marked without need.

usage: extreme_pictures.py --sotto BIN --data DIR --json extreme.json [--models resnet20-cifar10] [--batches 2]

Every batch is a full one of test images of CIFAR, of which every eighth is replaced by an extreme picture: white, black,
checkerboards of 1, 2 and 4 pixels, saturated noise, inverted images and images of three times the contrast. It is encrypted,
inferred and decrypted, and compared with ONNX Runtime on the same pictures. --ordinary batches have no extreme pictures:
their marks are false alarms. Goes on behind the last finished batch.

A label is wrong if it is not ONNX Runtime's, and close if the scores of both lie within the usual error of that batch (eight
times the median error of its ordinary images): noise, which no mark can tell. Ends with exit code 1 if the label of an
ordinary image is wrong and not close and has no mark, if that holds for more than 1 in 1,000 extreme pictures, or if there
is a mark on an ordinary image because its own values left the range, or any mark in an ordinary batch.
"""

import argparse
import csv
import json
import pathlib
import sys
import tempfile

import numpy as np

import encrypted
import pictures

MODELS = pathlib.Path(__file__).parents[2] / "models"
CLOSE = 8
MISSES = 1e-3
NEIGHBOUR = "neighbour"  # in the words of the CSV where an image is marked for what lies beside it


def mixed(images, batch, number, every, seed):
    """Batch `number`: its pictures, and the kind of each, '' for ordinary ones."""
    chosen = images[np.arange(number * batch, (number + 1) * batch) % len(images)].copy()
    kinds = [""] * batch
    if every:
        places = np.arange(every // 2, batch, every)
        rng = np.random.default_rng(seed + number)
        base = images[rng.integers(0, len(images), max(4, len(places) // 8))]
        extreme = pictures.extreme(base, seed + number)
        single = {kind: k for k, (kind, _) in enumerate(extreme)}
        # In small batches one of each kind comes before a second one of any.
        order = list(single.values()) + [k for k in rng.permutation(len(extreme)) if k not in single.values()]
        order = np.roll(order[: len(single)], -number * len(places)).tolist() + order[len(single) :]
        for place, k in zip(places, order):
            kinds[place], chosen[place] = extreme[k]
    return chosen, kinds


class Model:
    """A model, compiled once, with keys."""

    def __init__(self, sotto, card, folder, options):
        self.sotto, self.folder = sotto, folder
        self.path, self.card = MODELS / card["file"], card
        self.call("compile", self.path, "--out", folder / "net", *options)
        self.call("keygen", folder / "net.client", "--out", folder / "keys", "--force")
        self.plan = json.loads(self.call("plan", folder / "net.plan", "--json"))

    def call(self, *arguments):
        code, out, error, self.seconds = encrypted.run([self.sotto, *arguments])
        if code:
            raise RuntimeError(f"sotto {arguments[0]}: exit code {code}: {error}")
        return out

    def exact(self, images):
        p = self.card["preprocessing"]
        mean, std = (np.array(p[name]).reshape(-1, 1, 1) for name in ("mean", "std"))
        return encrypted.onnx_scores(self.path, ((images / 255 - mean) / std).astype(np.float32))

    def run(self, images):
        """Scores, and the words of the marks."""
        f = self.folder
        np.save(f / "images.npy", images)
        self.call("encrypt", f / "net.client", "--keys", f / "keys", "--data", f / "images.npy", "--out", f / "in.sotto")
        self.call("infer", f / "net.plan", "--eval-key", f / "keys/eval.key", "--in", f / "in.sotto", "--out", f / "out.sotto")
        seconds = self.seconds
        self.call("decrypt", f / "net.client", "--keys", f / "keys", "--in", f / "out.sotto", "--csv", f / "out.csv", "--out",
                  f / "out.npy")
        with open(f / "out.csv", newline="") as file:
            marks = [row["doubtful"] for row in csv.DictReader(file)]
        return np.load(f / "out.npy"), marks, seconds


def judge(scores, exact, marks, kinds, seconds):
    """Counts of one batch."""
    ordinary, marked = np.array([not k for k in kinds]), np.array([bool(m) for m in marks])
    best, rows = exact.argmax(1), np.arange(len(exact))
    chosen = np.where(np.isfinite(scores).all(1), np.nan_to_num(scores).argmax(1), -1)
    errors = np.sqrt(np.mean((scores - exact) ** 2, axis=1))
    plain = errors[ordinary & ~marked]
    usual = CLOSE * float(np.median(plain)) if plain.size else 0.0
    wrong = chosen != best
    close = wrong & (chosen >= 0) & (exact[rows, best] - exact[rows, chosen] <= usual)
    missed = wrong & ~close & ~marked
    own = np.array([bool(m) and NEIGHBOUR not in m and "batch" not in m for m in marks])
    by_kind = {}
    for k in np.flatnonzero(~ordinary):
        counts = by_kind.setdefault(kinds[k], {"pictures": 0, "marked": 0, "wrong": 0, "missed": 0})
        for name, value in (("pictures", 1), ("marked", marked[k]), ("wrong", wrong[k] & ~close[k]), ("missed", missed[k])):
            counts[name] += int(value)
    return {"seconds": seconds, "ordinary": int(ordinary.sum()), "extreme": int((~ordinary).sum()), "usual_error": usual / CLOSE,
            "words": {m: marks.count(m) for m in sorted(set(marks)) if m},
            "neighbours_wrong_without_mark": int((missed & ordinary).sum()),
            "neighbours_close": int((close & ordinary & ~marked).sum()),
            "neighbours_marked": int((marked & ordinary).sum()), "false_alarms": int((own & ordinary).sum()),
            "extreme_wrong": int((wrong & ~close & ~ordinary).sum()), "extreme_close": int((close & ~ordinary & ~marked).sum()),
            "extreme_marked": int((marked & ~ordinary).sum()), "misses": int((missed & ~ordinary).sum()),
            "all_lost": bool(np.all(chosen < 0)), "kinds": by_kind}


def line_of(r):
    return (f"{r['extreme']} extreme: {r['extreme_marked']} marked, {r['extreme_wrong']} wrong, {r['misses']} missed, "
            f"{r['extreme_close']} close; {r['ordinary']} ordinary: {r['neighbours_wrong_without_mark']} wrong without a mark, "
            f"{r['neighbours_marked']} marked, {r['false_alarms']} false alarms, {r['neighbours_close']} close; "
            f"{r['seconds']:.0f} s")


def total(batches):
    sums = {name: sum(b[name] for b in batches) for name, v in batches[0].items() if isinstance(v, (int, float))}
    sums["kinds"] = {}
    for b in batches:
        for kind, counts in b["kinds"].items():
            into = sums["kinds"].setdefault(kind, dict.fromkeys(counts, 0))
            for name, value in counts.items():
                into[name] += value
    return sums


def run_model(args, results, card, source):
    """Runs the batches that are missing."""
    name = card["name"]
    wanted = [(f"{name}, batch {k}", k, args.every) for k in range(args.batches)]
    wanted += [(f"{name}, ordinary batch {k}", k + args.batches, 0) for k in range(args.ordinary)]
    wanted = [w for w in wanted if w[0] not in results]
    if not wanted:
        return
    images = pictures.cifar(source)[args.first:]
    with tempfile.TemporaryDirectory(dir=args.scratch) as temporary:
        folder = pathlib.Path(temporary)
        batch = args.batch or (16 if card["activation"] == "relu" else 1024)
        options = ["--batch", batch, "--memory", args.memory]
        if args.calibrate:
            options += ["--calibrate", source.replace(":", "-train:")]
        model = Model(args.sotto / "sotto", card, folder, options)
        print(f"{name}: batches of {model.plan['batch']}, {model.plan['bootstraps']} bootstraps, "
              f"{model.plan['predicted_seconds']:.0f} s and {model.plan['predicted_peak_bytes'] / 2**30:.1f} GB predicted for each",
              flush=True)
        if args.plans:
            return
        for key, number, every in wanted:
            chosen, kinds = mixed(images, model.plan["batch"], number, every, args.seed)
            scores, marks, seconds = model.run(chosen)
            results.add(key, judge(scores, model.exact(chosen), marks, kinds, seconds))
            print(f"{key}: {line_of(results[key])}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sotto", type=pathlib.Path, default="build/release/bin", help="folder of sotto")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with the binary files of CIFAR-10 and CIFAR-100")
    parser.add_argument("--json", type=pathlib.Path, required=True, help="results; what they hold is not done again")
    parser.add_argument("--models", nargs="*", help="names of models (default: all of models/)")
    parser.add_argument("--batches", type=int, default=1, help="batches with extreme pictures, of each model (default 1)")
    parser.add_argument("--ordinary", type=int, default=0, help="batches without, behind those (default 0)")
    parser.add_argument("--batch", type=int, help="images per batch (default: 1024, with ReLU 16)")
    parser.add_argument("--every", type=int, default=8, help="one of so many pictures is extreme (default 8)")
    parser.add_argument("--first", type=int, default=0, help="first test image (default 0)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calibrate", action="store_true", help="on training images, not on made-up ones")
    parser.add_argument("--memory", default="18G", help="most memory of an encrypted run (default 18G)")
    parser.add_argument("--scratch", type=pathlib.Path, help="folder for keys and ciphertexts (default: that of the system)")
    parser.add_argument("--plans", action="store_true", help="only say what the batches would take")
    args = parser.parse_args()
    cards = [json.loads(path.read_text()) for path in sorted(MODELS.glob("*.json"))]
    results = encrypted.Results(args.json)
    failed, table = False, []
    for card in cards:
        if args.models and card["name"] not in args.models:
            continue
        try:
            run_model(args, results, card, f"{card['dataset']}:{args.data}")
        except RuntimeError as e:  # the other models go on
            failed = True
            table.append(f"{card['name']}: {e}")
            print(table[-1], flush=True)
        batches = [r for key, r in results.all.items() if key.startswith(card["name"] + ",")]
        if not batches:
            continue
        sums = total(batches)
        plain = [r for key, r in results.all.items() if key.startswith(card["name"] + ", ordinary")]
        alarms = sums["false_alarms"] + sum(r["neighbours_marked"] - r["false_alarms"] for r in plain)
        bad = sums["neighbours_wrong_without_mark"] > 0 or sums["misses"] > MISSES * sums["extreme"] or alarms > 0
        failed |= bad
        table.append(f"{card['name']}, {len(batches)} batches: {'MISSED' if bad else 'ok'}; {line_of(sums)}")
        table += [f"    {kind:22} {c['pictures']:5} pictures, {c['marked']:5} marked, {c['wrong']:5} wrong, {c['missed']:5} missed"
                  for kind, c in sums["kinds"].items()]
    print("\n".join(["", *table]))
    return 1 if failed or not (table or args.plans) else 0


if __name__ == "__main__":
    sys.exit(main())
