"""The verbs that faults are tried on: a tiny network and its files, and what each verb may leave behind."""

import csv
import dataclasses
import io
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))

import harness  # noqa: E402
import models  # noqa: E402

OLD = b"what an earlier run wrote\n"


@dataclasses.dataclass
class Verb:
    """One command line. `before`: files that are there beforehand, by path in the work folder. `outputs`: for every file that
    it writes, whether some bytes are what a whole run would have written. `kept`: files that must stay as they are. `codes`:
    exit codes that fit beside those of a failure to read or write."""

    args: list
    before: dict
    outputs: dict
    kept: tuple = ()
    codes: tuple = ()
    resumes: bool = False  # an OUTPUT.part may stay
    program: Path = harness.SOTTO
    stride: int = 1  # every so manieth memory call is tried at most, where a run takes seconds

    def is_whole(self, path, data):
        try:
            return bool(self.outputs[path](data))
        except Exception:  # whatever a parser makes of half a file
            return False


def is_container(data):
    """A Sotto file whose length and checksums are right."""
    file = harness.Container(data)
    return file.bytes(data[56:file.header_end]) == data


class Chain:
    """Makes, in `base`, the inputs of all verbs with one fault-free run of each; `verbs` says how to run them again, in a
    folder beside, where `base` is a link to it."""

    def __init__(self, base, run):
        """run(args, program): runs sotto, or that program, in the folder that holds `base`, and fails unless it succeeds."""
        network = models.Network(side=2, channels=1)
        base.mkdir()
        network.save(base / "net.onnx")
        harness.write_pictures(base / "images", network.clear_images(2, margin=0.0), network.classes)
        self.make_training(base)
        run(["signing-key", "base/mine.key"])
        run(["compile", "base/net.onnx", "--signer", "base/mine.key", "--out", "base/net"])
        run(["keygen", "base/net.client", "--out", "base/keys", "--public-key", "base/public.key"])
        run(["encrypt", "base/net.client", "--keys", "base/keys", "--data", "base/images", "--out", "base/in.sotto"])
        run(["infer", "base/net.plan", "--eval-key", "base/keys/eval.key", "--in", "base/in.sotto", "--out", "base/out.sotto",
             "--signing-key", "base/mine.key"])
        decrypt = ["decrypt", "base/net.client", "--keys", "base/keys", "--in", "base/out.sotto"]
        run([*decrypt, "--out", "base/scores.npy", "--csv", "base/labels.csv"])
        (base / "theirs").mkdir()
        for name in ("secret.key", "plans"):
            (base / "theirs" / name).symlink_to(base / "keys" / name)
        run([*self.publish("base/theirs"), "--csv", "base/published.csv"])
        train = ["train", "base/dense.onnx", "--spec", "base/spec.toml", "--data", "base/data.npz", "--simulate"]
        run([*train, "--out", "base/twin.onnx"])
        run([*self.compile_training("base/dense"), "--signer", "base/mine.key"])
        run(["keygen", "base/dense.client", "--out", "base/keys", "--eval-key", "base/train.key"])
        run([*self.encrypt_examples("base/keys"), "--out", "base/examples.sotto"])
        run([*self.train_examples, "--out", "base/trained.sotto"], harness.SERVER)
        run([*self.decrypt_training, "--out", "base/trained.onnx", "--csv", "base/losses.csv"])
        self.base = base
        self.verbs = self.make_verbs(decrypt, train)

    # Normal equations: keys of 200 MB and seconds of work, where gradient descent takes ten times as much.
    train_examples = ("train", "base/dense.plan", "--eval-key", "base/train.key", "--in", "base/examples.sotto", "--signing-key", "base/mine.key")
    decrypt_training = ("decrypt", "base/dense.client", "--keys", "base/keys", "--in", "base/trained.sotto")

    @staticmethod
    def compile_training(out):
        return ["compile", "base/dense.onnx", "--train", "base/normal.toml", "--out", out]

    @staticmethod
    def encrypt_examples(keys):
        return ["encrypt", "base/dense.client", "--keys", keys, "--data", "base/data.npz", "--labels"]

    @staticmethod
    def publish(keys):
        """Scores for others; what was published is remembered in `keys`."""
        return ["decrypt", "base/net.client", "--keys", keys, "--in", "base/out.sotto", "--publish", "scores"]

    @staticmethod
    def make_training(base):
        """A dense layer to train, with examples."""
        rng = np.random.default_rng(3)
        nodes = [models.helper.make_node("Flatten", ["image"], ["flat"]),
                 models.helper.make_node("Gemm", ["flat", "w", "b"], ["scores"], transB=1)]
        constants = [models.tensor("w", rng.normal(0, 0.3, (3, 12))), models.tensor("b", rng.normal(0, 0.1, 3))]
        models.save(base / "dense.onnx", nodes, constants, (3, 2, 2), 3, {"sotto.mean": "0", "sotto.std": "1"})
        np.savez(base / "data.npz", images=rng.integers(0, 256, (64, 3, 2, 2)).astype(np.uint8), labels=rng.integers(0, 3, 64))
        (base / "spec.toml").write_text("batch = 64\nsteps = 2\nrange = 2\n\n[optimiser]\nrate = 0.05\n")
        (base / "normal.toml").write_text('batch = 64\nsteps = 1\n\n[optimiser]\nname = "normal-equations"\nridge = 0.01\n')

    def make_verbs(self, decrypt, train):
        key = (self.base / "keys/secret.key").read_bytes()
        notes = {f"keys/plans/{p.name}": p.read_bytes() for p in (self.base / "keys/plans").iterdir()}
        table = list(csv.reader(io.StringIO((self.base / "labels.csv").read_text())))

        def same(name):
            return lambda data: data == (self.base / name).read_bytes()

        def same_scores(data):  # names and true labels are left out where the pictures cannot be read
            rows = list(csv.reader(io.StringIO(data.decode())))
            shared = [c for c in rows[0] if c.startswith(("score", "label"))]
            return all([r[rows[0].index(c)] for r in rows] == [r[table[0].index(c)] for r in table] for c in shared)

        def is_json(data):
            return isinstance(json.loads(data), dict)

        def is_page(data):
            return data.rstrip().endswith(b"</html>")

        def is_array(data):
            return np.load(io.BytesIO(data)).shape == np.load(self.base / "scores.npy").shape

        def is_png(data):
            return harness.read_png(data).size > 0

        def is_model(data):
            models.onnx.checker.check_model(data)
            return True

        keygen = ["keygen", "base/net.client", "--out", "keys"]
        keys = {"keys/secret.key": is_container, "keys/eval.key": is_container}
        return {
            "plan": Verb(["plan", "base/net.onnx", "--json"], {}, {}),
            "compile": Verb(["compile", "base/net.onnx", "--signer", "base/mine.key", "--out", "net", "--json", "c.json"],
                            {"net.plan": OLD, "net.client": OLD},
                            {"net.plan": same("net.plan"), "net.client": same("net.client"), "c.json": is_json}),
            "keygen": Verb(keygen, {}, keys),
            "keygen --force": Verb([*keygen, "--force"], {"keys/secret.key": key, "keys/eval.key": OLD, **notes}, keys),
            "keygen, more keys": Verb([*keygen, "--eval-key", "more.key", "--public-key", "public.key"],
                                      {"keys/secret.key": key, **notes},
                                      {"more.key": is_container, "public.key": is_container}, kept=("keys/secret.key",)),
            "encrypt": Verb(["encrypt", "base/net.client", "--keys", "keys", "--data", "base/images", "--out", "in.sotto"],
                            {"keys/secret.key": key, "in.sotto": OLD, **notes}, {"in.sotto": is_container}, kept=("keys/secret.key",)),
            "infer": Verb(["infer", "base/net.plan", "--eval-key", "base/keys/eval.key", "--in", "base/in.sotto", "--out", "out.sotto",
                           "--signing-key", "base/mine.key", "--stats", "i.json"], {"out.sotto": OLD},
                          {"out.sotto": same("out.sotto"), "i.json": is_json}, resumes=True),
            "infer, encrypted anew": Verb(["infer", "base/net.plan", "--eval-key", "base/keys/eval.key", "--public-key", "base/public.key",
                                           "--in", "base/in.sotto", "--out", "out.sotto", "--signing-key", "base/mine.key"],
                                          {"out.sotto": OLD}, {"out.sotto": is_container}, resumes=True),
            "decrypt": Verb([*decrypt, "--out", "scores.npy", "--csv", "labels.csv", "--sheet", "sheet.png", "--json", "d.json"],
                            {"scores.npy": OLD, "labels.csv": OLD, "sheet.png": OLD},
                            {"scores.npy": same("scores.npy"), "labels.csv": same_scores, "sheet.png": is_png, "d.json": is_json},
                            codes=(harness.USAGE,)),  # a sheet needs the images: where they cannot be read, they must be named
            "decrypt --publish": Verb([*self.publish("keys"), "--csv", "published.csv", "--out", "scores.npy"],
                                      {"keys/secret.key": key, "published.csv": OLD, "scores.npy": OLD, **notes},
                                      {"published.csv": same("published.csv"), "scores.npy": is_array}, kept=("keys/secret.key",)),
            "signing-key": Verb(["signing-key", "my.key"], {}, {"my.key": is_container}),
            "evaluate": Verb(["evaluate", "base/net.onnx", "--data", "base/images", "--json", "e.json", "--report", "e.html"],
                             {"e.json": OLD, "e.html": OLD}, {"e.json": is_json, "e.html": is_page}),
            "train --simulate": Verb([*train, "--out", "twin.onnx", "--json", "t.json"], {"twin.onnx": OLD},
                                     {"twin.onnx": same("twin.onnx"), "t.json": is_json}),
            "compile --train": Verb([*self.compile_training("dense"), "--signer", "base/mine.key", "--json", "c.json"],
                                    {"dense.plan": OLD, "dense.client": OLD},
                                    {"dense.plan": same("dense.plan"), "dense.client": same("dense.client"), "c.json": is_json}),
            "encrypt --labels": Verb([*self.encrypt_examples("keys"), "--out", "examples.sotto"],
                                     {"keys/secret.key": key, "examples.sotto": OLD, **notes}, {"examples.sotto": is_container},
                                     kept=("keys/secret.key",)),
            "sotto-server train": Verb([*self.train_examples, "--out", "trained.sotto", "--json", "s.json"], {"trained.sotto": OLD},
                                       {"trained.sotto": same("trained.sotto"), "s.json": is_json}, resumes=True,
                                       program=harness.SERVER, stride=16),
            "decrypt, a trained network": Verb([*self.decrypt_training, "--out", "trained.onnx", "--csv", "losses.csv", "--json", "d.json"],
                                               {"trained.onnx": OLD, "losses.csv": OLD},
                                               {"trained.onnx": same("trained.onnx"), "losses.csv": same("losses.csv"), "d.json": is_json}),
            "train": Verb(["train", "base/dense.onnx", "--spec", "base/normal.toml", "--data", "base/data.npz", "--out", "new.onnx",
                           "--json", "t.json", "--report", "t.html"], {"new.onnx": OLD, "t.html": OLD},
                          {"new.onnx": is_model, "t.json": is_json, "t.html": is_page}, stride=32),
        }
