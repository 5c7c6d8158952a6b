"""What the end-to-end tests share: running the programs, pictures, and what every failure must look like."""

import hashlib
import json
import os
import re
import signal
import struct
import subprocess
import tempfile
import time
import unittest
import zlib
from pathlib import Path

import numpy as np

import ed25519
import models

BIN = Path(os.environ["SOTTO_BIN_DIR"]).resolve()  # the folder with the programs
SOTTO, SERVER, DECODER = BIN / "sotto", BIN / "sotto-server", BIN / "sotto-decode"
# The first words of a decoder of pictures that has given up its rights (src/decode/protocol.h).
DECODER_HELLO = bytes([2, 0, 0, 0, 1, 0, 0, 0])

OK, INTERNAL, USAGE, BAD_INPUT, WRONG_KEY, NO_RESOURCES, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

# Long work reports its progress on stderr, and models get notes there; those lines are no part of an error.
PROGRESS = re.compile(r"^([a-z ]+: +\d+ %|note: )")
# Sanitized builds reserve terabytes of address space and run slowly.
SANITIZED = b"__asan_init" in SOTTO.read_bytes() if SOTTO.exists() else False
TIMEOUT = 400  # of a run; machines differ by a factor of four


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def errors(self):
        return [line for line in self.err.splitlines() if not PROGRESS.match(line)]

    def __str__(self):
        return f"exit code {self.code}\n--- stdout\n{self.out[-2000:]}\n--- stderr\n{self.err[-2000:]}"


def run(*args, cwd=None, env=None, program=SOTTO, prepare=None, restore_signals=True, timeout=TIMEOUT):
    """`prepare` runs in the child before the program starts (limits, umask)."""
    try:
        p = subprocess.run([str(program), *map(str, args)], cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                           capture_output=True, preexec_fn=prepare, restore_signals=restore_signals, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"no end after {timeout} s: sotto {' '.join(map(str, args))}") from None
    return Result(p.returncode, p.stdout.decode(errors="replace"), p.stderr.decode(errors="replace"))


def run_and_signal(*args, number, when, group=False, cwd=None, env=None, timeout=TIMEOUT, tracer=(), prepare=None, program=SOTTO):
    """Starts the program in a process group of its own and sends the signal, to the program or the group, once when() holds.

    `tracer`: a program, with options, that starts it in turn. Returns the result, or None if the program ended before, and whether a process of the group lived on (it is killed then).
    """
    p = subprocess.Popen([*tracer, str(program), *map(str, args)], cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, preexec_fn=prepare)
    result, left_over = None, False
    try:
        deadline = time.monotonic() + timeout
        while p.poll() is None and time.monotonic() < deadline and not when():
            time.sleep(0.002)
        if p.poll() is None:
            target = int(Path(f"/proc/{p.pid}/task/{p.pid}/children").read_text().split()[0]) if tracer else p.pid
            (os.killpg if group else os.kill)(target, number)
            sent = time.monotonic()
            p.wait(timeout)
            result, seconds = True, time.monotonic() - sent
    except subprocess.TimeoutExpired:
        raise AssertionError(f"no end {timeout} s after the signal: sotto {' '.join(map(str, args))}") from None
    finally:
        try:
            os.killpg(p.pid, signal.SIGKILL)
            left_over = p.poll() is not None
        except ProcessLookupError:
            pass
        out, err = p.communicate()
    if result:
        result = Result(p.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
        result.seconds_after_signal = seconds
    return result, left_over


def tree(folder):
    """Every file below a folder with what would change if somebody wrote to it."""
    out = {}
    for path in sorted(Path(folder).rglob("*")):
        info = path.lstat()
        out[str(path.relative_to(folder))] = (info.st_mode, info.st_ino, 0 if path.is_dir() else info.st_size,
                                              0 if path.is_dir() else info.st_mtime_ns)
    return out


class Case(unittest.TestCase):
    """Each class gets a folder `dir`, with `dir/tmp` as TMPDIR of all programs."""

    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory(prefix="sotto-e2e-")
        cls.addClassCleanup(holder.cleanup)
        cls.dir = Path(holder.name)
        (cls.dir / "tmp").mkdir()
        cls.env = {"TMPDIR": str(cls.dir / "tmp"), "SOTTO_KERNELS": ""}

    @classmethod
    def sotto(cls, *args, **kw):
        """Runs in `dir`; fails unless the exit code is 0."""
        kw.setdefault("cwd", cls.dir)
        r = run(*args, env={**cls.env, **kw.pop("env", {})}, **kw)
        if r.code != OK:
            raise AssertionError(f"sotto {' '.join(map(str, args))}: {r}")
        return r

    def assert_one_line(self, r, *words):
        lines = r.errors()
        self.assertEqual(len(lines), 1, f"one line on stderr expected: {r}")
        self.assertRegex(lines[0], r"^sotto(-server)?: \S", r)
        self.assertNotIn("internal error", lines[0], r)
        for word in words:
            self.assertIn(word.lower(), lines[0].lower(), r)

    def assert_refused(self, code, *args, words=(), cwd=None, **kw):
        """The exit code, one line on stderr that holds every word, and not one file made, changed or removed."""
        cwd = cwd or self.dir
        before = tree(self.dir)
        r = run(*args, cwd=cwd, env={**self.env, **kw.pop("env", {})}, **kw)
        command = " ".join(str(a)[:100] for a in args)
        self.assertEqual(r.code, code, f"sotto {command}: {r}")
        self.assert_one_line(r, *words)
        after = tree(self.dir)
        changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
        self.assertEqual(changed, [], f"files changed: sotto {command}: {r}")
        return r

    def assert_no_temporary_files(self):
        self.assertEqual([str(p) for p in self.dir.rglob("*.tmp")], [])
        self.assertEqual(list((self.dir / "tmp").iterdir()), [], "the folder for temporary files is not empty")


class PreparedCase(Case):
    """A tiny network as net.onnx, compiled, with keys in keys/ and the images of `pictures` in images/."""

    network = models.Network()
    pictures = 5

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.network.save(cls.dir / "net.onnx")
        cls.sotto("compile", "net.onnx", "--out", "net")
        cls.sotto("keygen", "net.client", "--out", "keys")
        cls.images = cls.network.clear_images(cls.pictures)
        write_pictures(cls.dir / "images", cls.images, cls.network.classes)

    @classmethod
    def encrypt(cls, out="in.sotto", data="images", keys="keys", client="net.client", **kw):
        return cls.sotto("encrypt", client, "--keys", keys, "--data", data, "--out", out, **kw)

    @classmethod
    def infer(cls, source="in.sotto", out="out.sotto", plan="net.plan", key="keys/eval.key", *more, **kw):
        return cls.sotto("infer", plan, "--eval-key", key, "--in", source, "--out", out, *more, **kw)

    @classmethod
    def decrypt(cls, source="out.sotto", *more, client="net.client", keys="keys", **kw):
        return cls.sotto("decrypt", client, "--keys", keys, "--in", source, *more, **kw)


# Pictures.

def png_bytes(image):
    """8-bit RGB or grey PNG of a uint8 [c][h][w] array, c = 3 or 1."""
    channels, height, width = image.shape
    rows = b"".join(b"\0" + np.ascontiguousarray(image[:, y].T).tobytes() for y in range(height))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def read_png(data):
    """uint8 [3][h][w] of an 8-bit RGB PNG; checks signature and checksums."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n", "no PNG signature"
    at, packed, header = 8, b"", None
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length:at + 12 + length])[0] == zlib.crc32(kind + body), "PNG checksum"
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    assert kind == b"IEND" and header[2:4] == (8, 2) and header[6] == 0, "unexpected PNG layout"
    width, height = header[:2]
    raw = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + 3 * width)
    out, above = np.zeros((height, width, 3), np.int64), np.zeros((width, 3), np.int64)
    for y in range(height):
        kind, row = raw[y, 0], raw[y, 1:].reshape(width, 3).astype(np.int64)
        line = np.zeros((width, 3), np.int64)
        if kind in (0, 2):
            line = row + (above if kind == 2 else 0)
        else:
            for x in range(width):
                a = line[x - 1] if x else np.zeros(3, np.int64)
                b, c = above[x], above[x - 1] if x else np.zeros(3, np.int64)
                if kind == 1:
                    guess = a
                elif kind == 3:
                    guess = (a + b) // 2
                else:
                    p = a + b - c
                    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
                    guess = np.where((pa <= pb) & (pa <= pc), a, np.where(pb <= pc, b, c))
                line[x] = (row[x] + guess) & 255
        out[y] = above = line & 255
    return out.astype(np.uint8).transpose(2, 0, 1)


def write_pictures(folder, images, classes=()):
    """NNN.png; with class names in folders of their own, round robin: CLASS/NNN.png. Returns the true labels in the order
    in which the programs read them (by path)."""
    paths = []
    for k, image in enumerate(images):
        path = Path(folder) / (classes[k % len(classes)] if classes else "") / f"{k:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png_bytes(image))
        paths.append(path)
    return paths


def reading_order(images, classes):
    """Indices of `images` in the order in which a folder made by write_pictures is read, and their true labels."""
    order = sorted(range(len(images)), key=lambda k: (classes[k % len(classes)], k))
    return order, [k % len(classes) for k in order]


def write_cifar(folder, count, classes, seed=11, images=None):
    """test_batch.bin as CIFAR-10 has it, of random images unless given. Returns images [count][3][32][32] and labels."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    images = models.random_images(count, 32, seed) if images is None else images
    labels = np.random.default_rng(seed + 1).integers(0, classes, count).astype(np.uint8)
    np.hstack([labels[:, None], images.reshape(count, -1)]).tofile(Path(folder) / "test_batch.bin")
    return images, labels.tolist()


# Sotto files (docs/formats/container.md), taken apart and put together again with right checksums.

class Container:
    def __init__(self, data):
        self.magic = data[:8]
        self.version, self.kind, length = struct.unpack("<IIQ", data[8:24])
        self.header = json.loads(data[56:56 + length])
        self.header_end = 56 + length
        self.sections, at = [], self.header_end
        for size in self.header["sections"]:
            self.sections.append(data[at:at + size])
            at += size + 32
        self.signature = data[at:]
        assert len(self.signature) == (64 if "signer" in self.header else 0)

    def bytes(self, text=None, seed=None):
        """`text`: the header's bytes, if not those of `header`. `seed`: of a key that signs; without it a file that was signed
        keeps the signature that it had, which does not fit any change."""
        if seed is not None:
            self.header["signer"] = ed25519.public(seed).hex()
        text = json.dumps(self.header).encode() if text is None else text
        start = self.magic + struct.pack("<IIQ", self.version, self.kind, len(text))
        checksum = hashlib.blake2b(start + text, digest_size=32).digest()
        out, digest = start + checksum + text, hashlib.blake2b(checksum, digest_size=32)
        for index, section in enumerate(self.sections):
            inner = hashlib.blake2b(struct.pack("<Q", index) + section, digest_size=32, key=checksum)
            out += section + inner.digest()
            digest.update(inner.digest())
        if seed is not None:
            return out + ed25519.sign(seed, b"Sotto signed".ljust(16, b"\0") + digest.digest())
        return out + (self.signature if "signer" in self.header else b"")


def owner_seed(secret_key):
    """Of the key with which the owner of a secret.key signs."""
    return hashlib.blake2b(b"Sotto owner's signing key\0", key=Container(secret_key).sections[0], digest_size=32).digest()


def main():
    unittest.main(verbosity=2)
