#!/usr/bin/env python3
"""Runs the suite's workload without the suite: lays out images as it does, runs all stages, checks labels, measures.

    bench/fhe-suite/run.py --data cifar10:DIR --out build/fhe-suite

OUT/measurements/SIZE/results-1.json are as the suite's, OUT/board.json has all figures and OUT/board.md the table. Sizes that
are done are kept: the same command goes on with the others. Exit codes: 0, 1 if a size failed or too few labels are right,
2 usage, 3 bad data, 130 interrupted.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "submission")]

try:
    import images as data
except ModuleNotFoundError as missing:
    print(f"run.py: {sys.executable} has no {missing.name}; start it with a Python that has", file=sys.stderr)
    sys.exit(2)
from layout import NETWORKS, SIZES, USAGE, BAD_INPUT, Layout, Problem, home, program, write  # noqa: E402
from machine import digest, setup  # noqa: E402
from results import good_enough, markdown, suite_page  # noqa: E402

STEPS = (("Key Generation", "client_key_generation", True), ("Communication: Upload evaluation key", "server_upload_ek", True),
         ("Encrypted model preprocessing", "server_preprocess_model", False), ("Input preprocessing", "client_preprocess_input", True),
         ("Input encryption", "client_encode_encrypt_input", True), ("Encrypted computation", "server_encrypted_compute", True),
         ("Result decryption", "client_decrypt_decode", True), ("Result postprocessing", "client_postprocess", True))
"""What the suite calls a step, the stage, and whether that gets the size."""


class Stopped(Exception):
    """Ctrl-C or SIGTERM."""


class Failed(Exception):
    """A stage ended with this exit code."""


def sizes(text):
    """Numbers of sizes, 0 to 3, with commas between them."""
    names = [name for name, _ in SIZES]
    chosen = [names.index(word) if word in names else int(word) for word in text.split(",")]
    if not all(0 <= s < len(SIZES) for s in chosen):
        raise argparse.ArgumentTypeError("sizes are 0 to 3")
    return sorted(set(chosen))


def arguments():
    """The command line."""
    p = argparse.ArgumentParser(description="Runs the stages of the FHE Benchmarking Suite's ml-inference with Sotto, and measures them.")
    p.add_argument("--data", required=True, help="cifar10:DIR or mnist:DIR, the test images (binary or IDX files)")
    p.add_argument("--sizes", type=sizes, default=[0, 1, 2, 3], help="0, 1, 2, 3: 1, 100, 1,000, 10,000 images (default: all)")
    p.add_argument("--model", type=pathlib.Path, help="another network than the one that comes along")
    p.add_argument("--calibrate", help="images to measure ranges and errors on, e.g. cifar10-train:DIR")
    p.add_argument("--memory", help="most memory that the server may use, e.g. 8G")
    p.add_argument("--threads", help="threads of the server (default: all)")
    p.add_argument("--remote", action="store_true",
                   help="with the stages of the suite's remote mode; SOTTO_SERVER=HOST:FOLDER is the server")
    p.add_argument("--seed", type=int, default=0, help="which images of the data set (default 0)")
    p.add_argument("--repeat", action="store_true", help="take images several times where the data set holds fewer than a size asks for")
    p.add_argument("--least", type=float, default=0.9, help="share of labels that must be right (default 0.9)")
    p.add_argument("--out", type=pathlib.Path, default=HERE.parents[1] / "build/fhe-suite")
    p.add_argument("--fresh", action="store_true", help="forget the sizes of earlier calls")
    return p.parse_args()


def end(child):
    """Asks a stage and its programs to end, so that these remove their files; ends them if they do not or if the user insists."""
    try:
        os.killpg(child.pid, signal.SIGTERM)
        child.wait(30)
    except ProcessLookupError:
        pass
    except (subprocess.TimeoutExpired, Stopped):
        os.killpg(child.pid, signal.SIGKILL)


def run_stage(name, words, o):
    """Runs a stage in the folder of the suite; its seconds."""
    env = {**os.environ, "SOTTO_HOME": str(home()), "SOTTO_MODEL": str(o.model)}
    for option, value in (("calibrate", o.calibrate), ("memory", o.memory), ("threads", o.threads), ("agreement", None),
                          ("server", o.remote and os.environ.get("SOTTO_SERVER"))):
        env.pop(f"SOTTO_{option.upper()}", None)
        if value:
            env[f"SOTTO_{option.upper()}"] = value
    start = time.monotonic()
    child = subprocess.Popen([sys.executable, "-B", str(HERE / "submission/stage.py"), name, *words], cwd=o.out, env=env,
                             stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        child.wait()
    except Stopped:
        end(child)
        raise
    if child.returncode:
        raise Failed(f"{name} ended with exit code {child.returncode}")
    return time.monotonic() - start


def bytes_below(folder):
    """Of all files in a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def read_lines(path):
    """The lines of a text file."""
    return path.read_text().split()


def measure(o, size):
    """All stages of a size: a row of the table."""
    layout = Layout(size, o.out)
    shutil.rmtree(layout.io, ignore_errors=True)
    start = time.monotonic()
    dataset, images, labels = data.load(o.data)
    timing = {"Test dataset generation": time.monotonic() - start}
    chosen = data.choose(len(images), layout.images, o.seed, o.repeat)
    start = time.monotonic()
    data.write_text(layout, images[chosen], labels[chosen])
    generated = time.monotonic() - start
    seconds = run_stage("server_get_params", [str(size)], o)
    if o.remote:
        timing["Communication: Get cryptographic context"] = seconds
    for step, stage, sized in STEPS:
        if stage == "server_upload_ek" and not o.remote:
            continue
        seconds = run_stage(stage, [str(size)] if sized else [], o)
        timing[step] = seconds
        if stage == "server_preprocess_model":
            timing["Input generation"] = generated
    expected, predicted = read_lines(layout.labels), read_lines(layout.predictions)
    if len(predicted) != len(expected):
        raise Failed(f"{layout.predictions} holds {len(predicted)} labels, not {len(expected)}")
    infer, decrypt = (json.loads(p.read_text()) for p in (layout.infer_report, layout.decrypt_report))
    row = {"size": layout.name, "images": layout.images, "different_images": len(set(chosen.tolist())),
           "model": o.model.stem, "dataset": dataset, "timing": timing,
           "server_reported": json.loads(layout.reported.read_text()), "eval_key_bytes": bytes_below(layout.eval_key.parent),
           "input_bytes": bytes_below(layout.query.parent), "output_bytes": bytes_below(layout.reply.parent),
           "peak_rss_bytes": infer["peak_rss_bytes"], "threads": infer["threads"], "cpu_kernels": infer["cpu_kernels"],
           "correct": sum(a == b for a, b in zip(expected, predicted)), "doubtful": decrypt["doubtful"]}
    if o.remote:
        row["context_bytes"] = bytes_below(layout.client_spec.parent)
    return row


def save(o, machine, rows):
    """All files of results."""
    rows = sorted(rows.values(), key=lambda r: r["images"])
    for row in rows:
        write(o.out / "measurements" / row["size"] / "results-1.json", json.dumps(suite_page(row), indent=2) + "\n")
    write(o.out / "board.json", json.dumps({"setup": machine, "sizes": rows}, indent=2) + "\n")
    write(o.out / "board.md", markdown(rows, o.least))


def kept_rows(o, machine):
    """The rows of an earlier call by size, or None if they are of another setup."""
    path = o.out / "board.json"
    if o.fresh or not path.exists():
        return {}
    page = json.loads(path.read_text())
    same = {**page["setup"], "commit": None} == {**machine, "commit": None}  # the program's hash says more
    return {row["size"]: row for row in page["sizes"]} if same else None


def summary(row):
    """A row in one line."""
    return (f"computing {row['timing']['Encrypted computation']:.1f} s, {row['peak_rss_bytes'] / 1e9:.1f} GB, "
            f"{row['correct']} of {row['images']} labels are right")


def absolute(source):
    """A data source whose place does not depend on the current folder."""
    name, colon, folder = source.rpartition(":")
    return f"{name}{colon}{pathlib.Path(folder).resolve()}"


def run(o):
    """All sizes; exit code."""
    if not o.model:
        name = o.data.partition(":")[0]
        if name not in NETWORKS:
            raise Problem(USAGE, f"no network comes along for {name}; name one with --model")
        o.model = home() / NETWORKS[name]
    o.model, o.out = o.model.resolve(), o.out.resolve()
    if not o.model.is_file():
        raise Problem(BAD_INPUT, f"{o.model} is missing")
    o.data, o.calibrate = absolute(o.data), o.calibrate and absolute(o.calibrate)
    _, images, _ = data.load(o.data)
    data.choose(len(images), SIZES[o.sizes[-1]][1], o.seed, o.repeat)
    machine = {**setup(program("sotto"), o.model, [o.data]), "network": digest(o.model),
               **{name: getattr(o, name) for name in ("calibrate", "memory", "threads", "remote", "seed")},
               "server": os.environ.get("SOTTO_SERVER") if o.remote else None}
    rows = kept_rows(o, machine)
    if rows is None:
        raise Problem(USAGE, f"{o.out} holds sizes of another machine, program, network or source; give --fresh or another --out")
    o.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    for size in o.sizes:
        name = SIZES[size][0]
        kept = name in rows
        if not kept:
            try:
                rows[name] = measure(o, size)
            except Failed as e:
                failed += 1
                print(f"{name}: failed: {e}", flush=True)
                continue
            save(o, machine, rows)
        good = good_enough(rows[name], o.least)
        failed += not good
        print(f"{name}: {'kept: ' * kept}{summary(rows[name])}{'' if good else ', which is too few'}", flush=True)
    save(o, machine, rows)
    print(f"wrote {o.out / 'board.md'}")
    return 1 if failed else 0


def main():
    """Runs everything; exit code."""
    o = arguments()

    def stop(number, frame):
        raise Stopped

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    try:
        return run(o)
    except Stopped:
        print("run.py: interrupted; finished sizes are kept", file=sys.stderr)
        return 130
    except (Problem, data.DataError, OSError, ValueError) as e:
        print(f"run.py: {e}", file=sys.stderr)
        return getattr(e, "code", BAD_INPUT)


if __name__ == "__main__":
    sys.exit(main())
