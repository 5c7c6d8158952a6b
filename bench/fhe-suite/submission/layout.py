"""Where everything lies: Sotto, the network, and the folders of the suite."""

import os
import pathlib

SIZES = (("single", 1), ("small", 100), ("medium", 1000), ("large", 10000))
"""Name and number of images of the suite's sizes 0 to 3."""

SHAPES = {3 * 32 * 32: (3, 32, 32), 28 * 28: (1, 28, 28)}
"""Channels, rows and columns of images with so many values: CIFAR-10, MNIST."""

NETWORKS = {"cifar10": "models/resnet20-cifar10.onnx", "resnet20": "models/resnet20-cifar10.onnx",
            "mnist": "models/lenet5-mnist.onnx"}
"""The network of a submission, by the name of its folder, which the suite takes from the data set or the model."""

USAGE, BAD_INPUT = 2, 3  # exit codes, as those of sotto


class Problem(Exception):
    """What a stage reports as one line, with its exit code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Ended(Exception):
    """A program that has already said what is wrong, with its exit code."""

    def __init__(self, code):
        super().__init__(f"exit code {code}")
        self.code = code


def home():
    """The folder of Sotto: $SOTTO_HOME, or the checkout that these scripts lie in."""
    named = os.environ.get("SOTTO_HOME")
    if named:
        return pathlib.Path(named).resolve()
    here = pathlib.Path(__file__).resolve()
    if len(here.parents) > 3 and (here.parents[3] / "bench/fhe-suite").is_dir():
        return here.parents[3]
    raise Problem(USAGE, "set SOTTO_HOME to the folder of Sotto")


def program(name):
    """The path of `sotto` or `sotto-server`, built in Sotto's folder or installed there."""
    for folder in ("build/release/bin", "bin"):
        if (home() / folder / name).exists():
            return home() / folder / name
    raise Problem(USAGE, f"{home()} holds no program {name}; run scripts/build.sh release there, or set SOTTO_HOME")


def network(stage_file):
    """The network to run: $SOTTO_MODEL, or what Sotto brings along for the folder of these stages."""
    named = os.environ.get("SOTTO_MODEL")
    if named:
        return pathlib.Path(named)
    folder = pathlib.Path(stage_file).absolute().parent.name
    if folder in NETWORKS:
        return home() / NETWORKS[folder]
    raise Problem(USAGE, f"no network comes along for {folder}; set SOTTO_MODEL to an ONNX file")


class Layout:
    """The files of one size, below the folder in which the suite runs its stages.

    `io/SIZE` holds what client and server exchange, and the suite empties it before a run. `io/client` never leaves the
    client and `io/server` never leaves the server; both serve all runs.
    """

    def __init__(self, size, root=None):
        if size not in range(len(SIZES)):
            raise Problem(USAGE, f"sizes are 0 to {len(SIZES) - 1}, not {size}")
        root = pathlib.Path(root or pathlib.Path.cwd())
        self.size = size
        self.name, self.images = SIZES[size]
        data, self.io = root / "datasets" / self.name / "intermediate", root / "io" / self.name
        self.pixels, self.labels = data / "test_pixels.txt", data / "test_labels.txt"
        self.client_spec = self.io / "client_data/sotto.client"
        self.eval_key = self.io / "public_keys/eval.key"
        self.query, self.reply = self.io / "ciphertexts_upload/in.sotto", self.io / "ciphertexts_download/out.sotto"
        self.predictions, self.reported = self.io / "encrypted_model_predictions.txt", self.io / "server_reported_steps.json"
        own = self.io / "intermediate"  # of the client
        self.pictures, self.scores = own / "images.npy", own / "scores.npy"
        self.keygen_report, self.encrypt_report, self.decrypt_report = (own / f"{n}.json" for n in ("keygen", "encrypt", "decrypt"))
        self.keys = root / "io/client"
        server = root / "io/server"
        self.plan, self.server_spec = server / f"{self.name}.plan", server / f"{self.name}.client"
        self.compile_report, self.infer_report = server / f"{self.name}-compile.json", server / f"{self.name}-infer.json"
        self.made_from = server / f"{self.name}-made-from.json"

    def make_folders(self):
        """All folders of this size; that of the secret key is closed to others."""
        for file in (self.client_spec, self.eval_key, self.query, self.reply, self.scores, self.plan):
            file.parent.mkdir(parents=True, exist_ok=True)
        self.keys.mkdir(mode=0o700, exist_ok=True)


def write(path, text):
    """A file, whole or not at all."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text)
    temporary.replace(path)


def require(path, what):
    """Fails with one line where a file of an earlier stage is missing."""
    if not path.exists():
        raise Problem(BAD_INPUT, f"{path} is missing; {what}")
    return path
