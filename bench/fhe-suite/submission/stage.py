#!/usr/bin/env python3
"""A stage of the FHE Benchmarking Suite's workload ml-inference, done with Sotto.

    stage.py STAGE [SIZE]

or, under the name of a stage (install.sh makes such links), STAGE.py [SIZE]. SIZE is 0 to 3; the current folder is the
suite's. Exit codes are those of sotto: 2 usage, 3 bad input, 4 wrong key or plan, 5 not enough memory or disk.
"""
import hashlib
import json
import os
import pathlib
import sys
import time
import warnings

try:
    import numpy as np
except ModuleNotFoundError:
    print(f"stage.py: {sys.executable} has no numpy; start it with a Python that has", file=sys.stderr)
    sys.exit(2)

from backend import Here, backend, call
from layout import BAD_INPUT, SHAPES, SIZES, USAGE, Ended, Layout, Problem, network, program, require, write


def options(*names):
    """Options of sotto that the environment sets: SOTTO_MEMORY is --memory."""
    return [word for n in names for value in [os.environ.get(f"SOTTO_{n.upper()}")] if value for word in (f"--{n}", value)]


def digest(path):
    """A hash of a file."""
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def compile_network(layout, server):
    """The plan for this size, on the server, unless it is there and made of the same."""
    model = network(sys.argv[0])
    words = ["compile", server.model(model), "--batch", str(layout.images), *options("calibrate", "memory", "agreement")]
    made_from = None
    if isinstance(server, Here):
        require(model, "name a network with SOTTO_MODEL")
        made_from = json.dumps([[str(w) for w in words], digest(model), digest(program("sotto-server"))])
        if all(f.exists() for f in (layout.plan, layout.server_spec)) and layout.made_from.exists() and \
                layout.made_from.read_text() == made_from:
            return
        layout.made_from.unlink(missing_ok=True)
    else:
        server.make_folder_of(layout.plan)
    server.run(*words, "--out", server.path(layout.plan), "--json", server.path(layout.compile_report))
    server.fetch(layout.server_spec)
    server.fetch(layout.compile_report)
    if made_from:
        write(layout.made_from, made_from)


def server_get_params(layout):
    """The server compiles the network. The client gets the description: parameters, keys to make, preprocessing."""
    compile_network(layout, backend())
    temporary = layout.client_spec.with_suffix(".tmp")
    temporary.write_bytes(layout.server_spec.read_bytes())
    temporary.replace(layout.client_spec)


def client_key_generation(layout):
    """The secret key, unless there is one, and the evaluation keys of this size's plan."""
    if not layout.client_spec.exists():  # the suite asks for it in remote mode only
        server_get_params(layout)
    call(program("sotto"), "keygen", layout.client_spec, "--out", layout.keys, "--eval-key", layout.eval_key,
         "--json", layout.keygen_report)


def server_upload_ek(layout):
    """Evaluation keys go to the server."""
    backend().send(require(layout.eval_key, "run client_key_generation first"))


def server_preprocess_model(layout):
    """Nothing is left to do: the plan holds the weights as the server needs them. `layout` is None without SIZE."""
    plans = [layout.plan] if layout else [Layout(s).plan for s in range(len(SIZES))]
    if isinstance(backend(), Here) and not any(p.exists() for p in plans):
        raise Problem(BAD_INPUT, f"there is no plan in {plans[0].parent}; run server_get_params or client_key_generation first")


def read_pixels(path, count):
    """uint8 [count][channels][rows][columns] of a file with a line of values from 0 to 1 for every image."""
    images = None
    with open(path) as file, warnings.catch_warnings():
        warnings.simplefilter("error")
        for i, line in enumerate(file):
            try:
                values = np.fromstring(line, dtype=np.float64, sep=" ")
            except (ValueError, DeprecationWarning):
                raise Problem(BAD_INPUT, f"{path}, line {i + 1}: not a line of numbers") from None
            if images is None:
                if values.size not in SHAPES:
                    raise Problem(BAD_INPUT, f"{path}: {values.size} values in a line; images of CIFAR-10 have 3072, of MNIST 784")
                images = np.empty((count, values.size), np.uint8)
            if i >= count or values.size != images.shape[1]:
                raise Problem(BAD_INPUT, f"{path}: {count} lines of {images.shape[1]} values are expected; see line {i + 1}")
            pixels = np.rint(values * 255)
            # Written with six decimals: a byte comes back exactly.
            if not (np.abs(values * 255 - pixels).max() < 0.01 and pixels.min() >= 0 and pixels.max() <= 255):
                raise Problem(BAD_INPUT, f"{path}, line {i + 1}: values that are no bytes divided by 255")
            images[i] = pixels
    if images is None or i + 1 != count:
        raise Problem(BAD_INPUT, f"{path}: {count} lines are expected, there are {0 if images is None else i + 1}")
    return images.reshape(count, *SHAPES[images.shape[1]])


def client_preprocess_input(layout):
    """Pixels of the suite's text file as bytes. Mean and deviation are Sotto's to apply, before it encrypts."""
    images = read_pixels(require(layout.pixels, "run generate_input first"), layout.images)
    temporary = layout.pictures.with_suffix(".tmp.npy")
    np.save(temporary, images)
    temporary.replace(layout.pictures)


def client_encode_encrypt_input(layout):
    """Encrypted images."""
    require(layout.pictures, "run client_preprocess_input first")
    call(program("sotto"), "encrypt", layout.client_spec, "--keys", layout.keys, "--data", layout.pictures, "--out", layout.query,
         "--json", layout.encrypt_report)


def server_encrypted_compute(layout):
    """Encrypted scores, computed by the server; and what it says of its time."""
    server = backend()
    require(layout.query, "run client_encode_encrypt_input first")
    start = time.monotonic()
    server.send(layout.query)
    sent = time.monotonic()
    if not isinstance(server, Here):
        server.make_folder_of(layout.reply)
    server.run("infer", server.path(layout.plan), "--eval-key", server.path(layout.eval_key), "--in", server.path(layout.query),
               "--out", server.path(layout.reply), "--json", server.path(layout.infer_report), *options("memory", "threads"))
    computed = time.monotonic()
    server.fetch(layout.reply)
    server.fetch(layout.infer_report)
    report_times(layout, None if isinstance(server, Here) else (sent - start, time.monotonic() - computed))


def report_times(layout, transfer):
    """What the suite copies into its results, in seconds."""
    infer = json.loads(layout.infer_report.read_text())
    steps = {"Encrypted computation": infer["compute_seconds"], "Read time": infer["read_seconds"], "Write time": infer["write_seconds"],
             "Total": infer["seconds"]}
    if transfer:
        steps.update({"Upload time": transfer[0], "Download time": transfer[1]})
    if layout.compile_report.exists():
        steps["Model compilation (once)"] = json.loads(layout.compile_report.read_text())["seconds"]
    write(layout.reported, json.dumps({name: round(s, 4) for name, s in steps.items()}, indent=2) + "\n")


def client_decrypt_decode(layout):
    """Decrypted scores. Results that may be wrong are named on stderr."""
    require(layout.reply, "run server_encrypted_compute first")
    call(program("sotto"), "decrypt", layout.client_spec, "--keys", layout.keys, "--in", layout.reply, "--out", layout.scores,
         "--json", layout.decrypt_report)


def client_postprocess(layout):
    """The class with the largest score of every image, -1 where a result was lost."""
    scores = np.load(require(layout.scores, "run client_decrypt_decode first"), allow_pickle=False)
    if scores.ndim != 2 or len(scores) != layout.images:
        raise Problem(BAD_INPUT, f"{layout.scores} holds results of {len(scores)} images, not {layout.images}")
    labels = np.where(np.isfinite(scores).all(axis=1), np.argmax(scores, axis=1), -1)
    write(layout.predictions, "".join(f"{label}\n" for label in labels))


STAGES = {f.__name__: f for f in (server_get_params, client_key_generation, server_upload_ek, server_preprocess_model,
                                  client_preprocess_input, client_encode_encrypt_input, server_encrypted_compute,
                                  client_decrypt_decode, client_postprocess)}


def run(name, words):
    """Runs the stage of this name."""
    if name not in STAGES:
        raise Problem(USAGE, f"there is no such stage; stages are {', '.join(STAGES)}")
    if not words and name == "server_preprocess_model":
        return server_preprocess_model(None)
    if len(words) != 1 or not words[0].isdecimal():
        raise Problem(USAGE, "name one size: 0, 1, 2 or 3")
    layout = Layout(int(words[0]))
    layout.make_folders()
    return STAGES[name](layout)


def main():
    """Runs a stage; exit code."""
    name, words = pathlib.Path(sys.argv[0]).stem, sys.argv[1:]
    if name == "stage":
        if not words:
            print(f"usage: stage.py STAGE [SIZE], where STAGE is one of {', '.join(STAGES)}", file=sys.stderr)
            return USAGE
        name, words = words[0], words[1:]
    try:
        run(name, words)
    except Ended as e:
        return e.code
    except Problem as e:
        print(f"{name}: {e}", file=sys.stderr)
        return e.code
    except (OSError, ValueError) as e:
        print(f"{name}: {e}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
