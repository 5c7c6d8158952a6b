"""Runs of `sotto plan` and `sotto evaluate` and their comparison with ONNX Runtime, for the scripts of this folder."""

import json
import pathlib
import subprocess
import tempfile
import time

import numpy as np
import onnxruntime

REFUSED = (3, 5)  # exit codes: what cannot be computed, not enough memory, levels or precision


class Results:
    """A JSON file of results by name, written after every one of them, so that a script goes on where it ended."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.all = json.loads(self.path.read_text()) if self.path.exists() else {}

    def __contains__(self, name):
        return name in self.all

    def __getitem__(self, name):
        return self.all[name]

    def add(self, name, result):
        self.all[name] = result
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.all, indent=1))
        part.replace(self.path)


def last_line(text):
    """The error among notes and warnings."""
    lines = [line for line in text.strip().splitlines() if not line.startswith("note:")]
    return lines[-1] if lines else ""


def run(command):
    """(exit code, standard output, error line, seconds)"""
    started = time.time()
    p = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    return p.returncode, p.stdout, last_line(p.stderr) if p.returncode else "", round(time.time() - started, 1)


def plan(sotto, model, batch, more=()):
    """What `sotto plan` says: figures and the shape of the plan, which does not depend on constants; or the refusal."""
    code, out, error, seconds = run([sotto, "plan", model, "--batch", batch, "--json", *more])
    if code:
        return {"exit": code, "said": error, "plan_seconds": seconds}
    p = json.loads(out)
    shape = [p["parameters"], p["batch"], p["group"], p["bootstraps"],
             [[s["output"], s["ciphertexts"], s["limbs"], s["key_switches"]] for s in p["steps"]]]
    return {"exit": 0, "plan_seconds": seconds, "id": p["plan_id"], "shape": shape, "batch": p["batch"], "group": p["group"],
            "bootstraps": p["bootstraps"], "levels": p["parameters"]["ciphertext_primes"],
            "layers": [[s["name"], s["predicted_rotate_seconds"], s["predicted_linear_seconds"], s["predicted_activate_seconds"]]
                       for s in p["steps"]],
            "seconds": p["predicted_seconds"], "bytes": p["predicted_peak_bytes"],
            "agreement": p["predicted_label_agreement"], "error": p["predicted_score_error"] / p["score_spread"]}


def line_of_plan(p):
    if p["exit"]:
        return f"refused ({p['exit']}): {p['said']}"
    return (f"batch {p['batch']}, group {p['group']}, {p['levels']} primes, {p['bootstraps']} bootstraps: "
            f"{p['seconds']:.0f} s, {p['bytes'] / 2**30:.1f} GB, {100 * p['agreement']:.2f} % of labels, "
            f"error {100 * p['error']:.3f} % of the spread (planned in {p['plan_seconds']:.0f} s)")


def onnx_scores(model, values):
    """ONNX Runtime's scores, image by image, as the batch may be fixed."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: values[k : k + 1]})[0].reshape(1, -1) for k in range(len(values))])


def agreeing(scores, exact):
    """By image. A label that ties with the best one in single precision is right; a lost batch (NaN) has no label."""
    lost = ~np.isfinite(scores).all(1)
    chosen = np.take_along_axis(exact, np.where(lost[:, None], 0, scores).argmax(1)[:, None], 1)[:, 0]
    return ~lost & (chosen >= exact.max(1) - 1e-5 * np.abs(exact).max())


def evaluate(sotto, model, pictures, values, more=()):
    """`sotto evaluate` on pictures, against ONNX Runtime on the values that the model reads; or the refusal."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        np.save(folder / "pictures.npy", pictures)
        code, _, error, seconds = run([sotto, "evaluate", model, "--data", folder / "pictures.npy", "--json", folder / "r.json",
                                       "--out", folder / "scores.npy", *more])
        if code:
            return {"exit": code, "said": error, "all_seconds": seconds}
        report, scores = json.loads((folder / "r.json").read_text()), np.load(folder / "scores.npy")
    exact = onnx_scores(model, values)
    if exact.min() >= 0 and np.allclose(exact.sum(1), 1, atol=1e-4):  # the import leaves a softmax out
        exact = np.log(np.maximum(exact, 1e-30))
    shift = np.where(np.isfinite(scores), scores, 0).mean(1, keepdims=True) - exact.mean(1, keepdims=True)
    softmax = np.allclose(np.exp(exact).sum(1), 1, atol=1e-3)
    marked = np.zeros(len(exact), bool)
    marked[report["doubtful"]] = True
    right = agreeing(scores, exact)
    difference = (scores - exact - (shift if softmax else 0))[~marked]
    spread = (exact - exact.mean(0)).std()
    return {"exit": 0, "images": len(exact), "marked": int(marked.sum()), "agreement": float(right.mean()),
            "agreement_of_unmarked": float(right[~marked].mean()) if not marked.all() else 1.0,
            "wrong_without_mark": int((~right & ~marked).sum()), "predicted_agreement": report["predicted_label_agreement"],
            "error": float(np.sqrt(np.mean(difference**2)) / max(spread, 1e-30)) if difference.size else 0.0,
            "labels": int(len(np.unique(exact.argmax(1)))), "seconds": report["wall_seconds"], "all_seconds": seconds,
            "bytes": report["peak_rss_bytes"], "bootstraps": report["bootstraps"], "batch": report["batch"],
            "predicted_seconds": report["predicted_seconds"], "predicted_bytes": report["predicted_peak_bytes"],
            "layers": [[s["name"], s["rotate_seconds"], s["linear_seconds"], s["activate_seconds"]] for s in report["steps"]]}


def line_of_run(r):
    if r["exit"]:
        return f"refused ({r['exit']}): {r['said']}"
    return (f"{100 * r['agreement']:.2f} % of {r['images']} agree (predicted {100 * r['predicted_agreement']:.2f}), "
            f"{r['marked']} marked, {r['wrong_without_mark']} wrong without a mark, error {100 * r['error']:.3f} % of the "
            f"spread, {r['labels']} labels, {r['seconds']:.0f} s (predicted {r['predicted_seconds']:.0f}), "
            f"{r['bytes'] / 2**30:.1f} GB")


def crashed(r):
    return r["exit"] not in (0, *REFUSED)
