"""Images as people have them: arrays, MNIST, CIFAR's Python files, folders; how they are fitted, and what is said about them."""

import csv
import gzip
import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import unittest
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

import harness
import models
from harness import BAD_INPUT, NO_RESOURCES, OK, USAGE, Case, PreparedCase


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


class Inputs(PreparedCase):
    """All kinds of sources give the scores of the same images."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.labels = [k % 3 for k in range(len(cls.images))]
        cls.expected = cls.network.scores(cls.images)

    def scores(self, *data):
        self.sotto("encrypt", "net.client", "--keys", "keys", "--data", *data, "--out", "in.sotto")
        self.infer()
        r = self.decrypt("out.sotto", "--out", "scores.npy", "--csv", "labels.csv")
        return np.load(self.dir / "scores.npy"), rows_of((self.dir / "labels.csv").read_text()), r

    def assert_scores(self, *data, truth=True, expected=None):
        scores, rows, _ = self.scores(*data)
        self.assertLess(np.abs(scores - (self.expected if expected is None else expected)).max(), 2e-2)
        self.assertEqual([row["true_label"] for row in rows], [str(t) if truth else "" for t in self.labels])

    def test_arrays(self):
        np.savez_compressed(self.dir / "a.npz", images=self.images, labels=np.array(self.labels))
        self.assert_scores("a.npz")
        np.savez(self.dir / "b.npz", x=self.images.transpose(0, 2, 3, 1), y=np.array(self.labels, np.uint8))
        self.assert_scores("b.npz", "--layout", "nhwc")
        np.save(self.dir / "c.npy", self.images)
        self.assert_scores("c.npy", truth=False)
        shape = (3, 1, 1)
        ready = (self.images / 255.0 - np.reshape(self.network.mean, shape)) / np.reshape(self.network.std, shape)
        for kind in ("f4", "f8", ">f4"):
            np.save(self.dir / "d.npy", ready.astype(kind))
            self.assert_scores("d.npy", truth=False)

    def test_compressed_arrays_that_end_in_a_long_repetition(self):
        """Their last packed byte stands for more values than a small read asks for."""
        many = np.concatenate([self.images] * 10)[:40]
        np.savez_compressed(self.dir / "e.npz", images=many, labels=np.arange(len(many)) % 3)
        packed = self.sotto("encrypt", "net.client", "--keys", "keys", "--data", "e.npz", "--out", "many.sotto")
        self.assertIn(f"encrypted {len(many)} images", packed.out)

    def test_values_beyond_anything_are_refused_before_they_are_encrypted(self):
        far = np.zeros((3, *self.images.shape[1:]), np.float32)
        far[1, 0, 0, 0] = 1e30
        np.save(self.dir / "far.npy", far)
        self.assert_refused(BAD_INPUT, "encrypt", "net.client", "--keys", "keys", "--data", "far.npy", "--out", "far.sotto",
                            words=("image 1 holds 1e+30",))
        self.assertFalse((self.dir / "far.sotto").exists())

    def test_arrays_that_do_not_fit(self):
        np.save(self.dir / "last.npy", self.images.transpose(0, 2, 3, 1))
        np.save(self.dir / "grey.npy", self.images[:, 0])
        np.save(self.dir / "fortran.npy", np.asfortranarray(self.images))
        np.save(self.dir / "int.npy", self.images.astype(int))
        np.save(self.dir / "nan.npy", np.full((1, 3, 8, 8), np.nan, np.float32))
        np.save(self.dir / "object.npy", np.array([print, {}], dtype=object), allow_pickle=True)
        for name, words in (("last", ["5x8x8x3", "3x8x8", "nhwc"]), ("grey", ["5x8x8", "3x8x8"]), ("fortran", ["Fortran"]), ("int", ["<i8", "uint8"]),
                            ("nan", ["image 0", "not finite"]), ("object", ["Python objects"])):
            with self.subTest(name):
                self.assert_refused(BAD_INPUT, "encrypt", "net.client", "--keys", "keys", "--data", f"{name}.npy", "--out", "x", words=[name, *words])
        self.assert_refused(USAGE, "encrypt", "net.client", "--keys", "keys", "--data", "last.npy", "grey.npy", "--out", "x")
        self.assert_refused(USAGE, "encrypt", "net.client", "--keys", "keys", "--data", "images", "--layout", "nhwc", "--out", "x", words=["--layout"])

    def test_raw_pixels_as_floats_are_noticed(self):
        np.save(self.dir / "raw.npy", self.images.astype(np.float32))
        r = self.sotto("encrypt", "net.client", "--keys", "keys", "--data", "raw.npy", "--out", "raw.sotto")
        self.assertIn("0 to 255", r.err)
        self.assertEqual(len(r.err.splitlines()), 1)

    def test_resize_and_crop_only_when_asked(self):
        large = models.random_images(3, 16)
        harness.write_pictures(self.dir / "large", large)
        self.labels = [""] * 3
        encrypt = ["encrypt", "net.client", "--keys", "keys", "--data", "large", "--out", "x"]
        self.assert_refused(BAD_INPUT, *encrypt, words=["16x16", "8x8", "--resize"])
        self.assert_scores("large", "--crop", truth=False, expected=self.network.scores(large[:, :, 4:12, 4:12]))
        small = np.array([np.asarray(Image.fromarray(i.transpose(1, 2, 0)).resize((8, 8), Image.BILINEAR)).transpose(2, 0, 1) for i in large])
        for mode in ("stretch", "crop"):
            self.assert_scores("large", "--resize", mode, truth=False, expected=self.network.scores(small))
        self.assert_refused(USAGE, *encrypt, "--resize", "crop", "--crop")
        self.assert_refused(USAGE, *encrypt, "--resize", "huge")

    def test_pixels_equal_pillow(self):
        # One decoder for all kinds of PNG and JPEG files: what training saw, encryption must see.
        (self.dir / "kinds").mkdir()
        rng = np.random.default_rng(3)
        colour = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
        kinds = {"palette.png": colour.quantize(16), "grey.png": colour.convert("L"), "bit.png": colour.convert("1"), "opaque.png": colour.convert("RGBA"),
                 "greyalpha.png": colour.convert("LA")}
        for name, image in kinds.items():
            image.save(self.dir / "kinds" / name)
        colour.save(self.dir / "kinds/colour.jpg", quality=90)
        colour.convert("L").save(self.dir / "kinds/grey.jpg")
        names = sorted(p.name for p in (self.dir / "kinds").iterdir())
        expected = np.array([np.asarray(Image.open(self.dir / "kinds" / n).convert("RGB")).transpose(2, 0, 1) for n in names])
        scores, rows, _ = self.scores("kinds")
        self.assertEqual([row["name"] for row in rows], names)
        self.assertLess(np.abs(scores - self.network.scores(expected)).max(), 2e-2)
        clear = colour.convert("RGBA")
        clear.putalpha(100)
        clear.save(self.dir / "clear.png")
        colour.convert("CMYK").save(self.dir / "cmyk.jpg")
        for name, word in (("clear.png", "transparent"), ("cmyk.jpg", "CMYK")):
            self.assert_refused(BAD_INPUT, "encrypt", "net.client", "--keys", "keys", "--data", name, "--out", "x", words=[name, word])

    def test_folders_as_people_have_them(self):
        folder = self.dir / "mixed"
        shutil.copytree(self.dir / "images", folder)
        (folder / ".hidden").mkdir()
        shutil.copy(folder / "cat/0000.png", folder / ".hidden/0000.png")
        (folder / "cat/linked.png").symlink_to("../dog/0001.png")
        (folder / "loop").symlink_to(".")
        for name in ("a.bmp", "b.webp", "notes.txt"):
            (folder / name).write_bytes(b"x")
        r = self.sotto("encrypt", "net.client", "--keys", "keys", "--data", "mixed", "--out", "in.sotto")
        self.assertEqual(len(r.err.splitlines()), 1, r)
        for words in ("1 BMP (a.bmp)", "1 WebP (b.webp)", "1 other file (notes.txt)", "1 link that leads back up (loop)"):
            self.assertIn(words, r.err)
        self.infer()
        rows = rows_of(self.decrypt("out.sotto", "--csv", "-").out)
        self.assertEqual([row["name"] for row in rows],
                         ["cat/0000.png", "cat/0003.png", "cat/linked.png", "dog/0001.png", "dog/0004.png", "ship/0002.png"])
        self.assertEqual([row["true_class"] for row in rows], ["cat"] * 3 + ["dog"] * 2 + ["ship"])

    def test_a_png_with_a_wrong_checksum(self):
        data = bytearray((self.dir / "images/cat/0000.png").read_bytes())
        data[-14] ^= 1  # of the pixels' checksum
        (self.dir / "bad.png").write_bytes(data)
        self.assert_refused(BAD_INPUT, "encrypt", "net.client", "--keys", "keys", "--data", "bad.png", "--out", "x", words=["bad.png", "checksum"])

    def test_pictures_are_read_before_the_key(self):
        self.assert_refused(BAD_INPUT, "encrypt", "net.client", "--keys", "no-keys", "--data", "nowhere", "--out", "x", words=["nowhere"])

    def test_sizes_that_would_take_all_memory(self):
        header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
        chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        (self.dir / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b""))
        self.assert_refused(BAD_INPUT, "encrypt", "net.client", "--keys", "keys", "--data", "bomb.png", "--resize", "crop", "--out", "x",
                            words=["60000x60000", "million"])

    def test_remembered_images_are_read_the_same_way(self):
        large = models.random_images(2, 16)
        np.save(self.dir / "last.npy", large.transpose(0, 2, 3, 1))
        self.sotto("encrypt", "net.client", "--keys", "keys", "--data", "last.npy", "--layout", "nhwc", "--resize", "crop", "--out", "in.sotto")
        self.infer()
        self.decrypt("out.sotto", "--sheet", "remembered.html")


class DataSets(Case):
    def evaluate(self, *args):
        r = self.sotto("evaluate", *args, "--json", "report.json")
        return r, json.loads((self.dir / "report.json").read_text())

    def test_mnist(self):
        rng = np.random.default_rng(5)
        nodes, constants = [], [models.tensor("w", rng.normal(0, 0.1, (784, 10)))]
        for op in (["Mul", ["image", "image"], ["square"]], ["Flatten", ["square"], ["flat"]], ["Gemm", ["flat", "w"], ["scores"]]):
            nodes.append(models.helper.make_node(*op, op[0].lower()))
        models.save(self.dir / "digits.onnx", nodes, constants, (1, 28, 28), 10)
        images, labels = rng.integers(0, 256, (20, 28, 28), np.uint8), rng.integers(0, 10, 20).astype(np.uint8)
        folder = self.dir / "mnist"
        folder.mkdir()
        for name, opener in (("t10k", open), ("train", lambda p, m: gzip.open(f"{p}.gz", m))):
            with opener(folder / f"{name}-images-idx3-ubyte", "wb") as file:
                file.write(struct.pack(">IIII", 0x803, 20, 28, 28) + images.tobytes())
            with opener(folder / f"{name}-labels-idx1-ubyte", "wb") as file:
                file.write(struct.pack(">II", 0x801, 20) + labels.tobytes())
        truth = ((images.reshape(20, -1) / 255.0) ** 2 @ models.as_stored(np.random.default_rng(5).normal(0, 0.1, (784, 10)))).argmax(1)
        for source in ("mnist:mnist", "mnist-train:mnist"):
            _, j = self.evaluate("digits.onnx", "--data", source)
            self.assertEqual(j["plain_correct"], int((truth == labels).sum()))
        models.Network(side=32).save(self.dir / "colour.onnx")
        self.assert_refused(BAD_INPUT, "evaluate", "colour.onnx", "--data", "mnist:mnist", words=["1x28x28", "3x32x32"])

    def test_cifar_python_files(self):
        network = models.Network(side=32, classes=[f"class {k}" for k in range(10)])
        network.save(self.dir / "net.onnx")
        images = models.random_images(6, 32)
        folder = self.dir / "python/cifar-10-batches-py"
        folder.mkdir(parents=True)
        for protocol in (2, 3, 4):
            batch = {"batch_label": "testing batch 1 of 1", "labels": [3, 1, 4, 1, 5, 9], "data": images.reshape(6, -1), "filenames": ["a.png"] * 6}
            if protocol == 2:  # Python 3 writes bytes as a call of a codec then; Python 2 did not
                continue
            (folder / "test_batch").write_bytes(pickle.dumps(batch, protocol=protocol))
            _, j = self.evaluate("net.onnx", "--data", "cifar10:python")
            self.assertEqual(j["plain_correct"], int((network.scores(images).argmax(1) == batch["labels"]).sum()))

        class Evil:
            def __reduce__(self):
                return os.system, ("touch run",)

        (folder / "test_batch").write_bytes(pickle.dumps({"labels": [1], "data": Evil()}, protocol=4))
        self.assert_refused(BAD_INPUT, "evaluate", "net.onnx", "--data", "cifar10:python", words=["posix.system"])
        self.assertFalse((self.dir / "run").exists())

    def test_data_sets_of_other_classes(self):
        models.Network(side=32, classes=[f"class {k}" for k in range(100)]).save(self.dir / "hundred.onnx")
        harness.write_cifar(self.dir / "ten", 3, 10)
        self.assert_refused(BAD_INPUT, "evaluate", "hundred.onnx", "--data", "cifar10:ten", words=["10 classes", "100 outputs"])
        self.sotto("compile", "hundred.onnx", "--out", "hundred.plan")  # the ending is taken off
        self.sotto("keygen", "hundred.client", "--out", "hundred-keys")
        r = self.sotto("encrypt", "hundred.client", "--keys", "hundred-keys", "--data", "cifar10:ten", "--out", "in.sotto")
        self.assertIn("10 classes", r.err)
        self.assertEqual(r.err.count("note: "), 1)


class Outputs(PreparedCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.encrypt()
        cls.infer()

    def test_texts_on_standard_output(self):
        self.decrypt("out.sotto", "--csv", "labels.csv")
        expected = (self.dir / "labels.csv").read_text()
        for name in ("-", "/dev/stdout"):
            before = os.lstat("/dev/stdout")
            self.assertEqual(self.decrypt("out.sotto", "--csv", name).out, expected)
            self.assertEqual(os.lstat("/dev/stdout").st_ino, before.st_ino, "the system's file was replaced")
        report = json.loads(self.sotto("evaluate", "net.onnx", "--data", "images", "--json", "-").out)
        self.assertEqual(report["images"], len(self.images))
        self.assertFalse((self.dir / "-").exists())
        with open(self.dir / "redirected.csv", "wb") as file:
            subprocess.run([str(harness.SOTTO), "decrypt", "net.client", "--keys", "keys", "--in", "out.sotto", "--csv", "/dev/stdout"], cwd=self.dir,
                           stdout=file, check=True)
        self.assertEqual((self.dir / "redirected.csv").read_text(), expected)

    def test_what_is_no_text_needs_a_file(self):
        decrypt = ["decrypt", "net.client", "--keys", "keys", "--in", "out.sotto"]
        for verb in ([*decrypt, "--out", "-"], [*decrypt, "--out", "/dev/stdout"], ["encrypt", "net.client", "--keys", "keys", "--data", "images", "--out", "-"],
                     ["infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "-"]):
            with self.subTest(verb):
                self.assert_refused(USAGE, *verb, words=["standard output"])
        self.assert_refused(USAGE, *decrypt, "--csv", "-", "--out", "-")

    def test_links_stay_links(self):
        (self.dir / "far").mkdir()
        for name, ending in (("a", ".csv"), ("b", ".npy"), ("c", ".png")):
            (self.dir / f"{name}{ending}").symlink_to(f"far/{name}{ending}")
        self.decrypt("out.sotto", "--csv", "a.csv", "--out", "b.npy", "--sheet", "c.png")
        (self.dir / "out2").symlink_to("far/out2.sotto")
        self.infer("in.sotto", "out2")
        for link in ("a.csv", "b.npy", "c.png", "out2"):
            self.assertTrue((self.dir / link).is_symlink(), link)
            self.assertGreater((self.dir / link).stat().st_size, 0)
        self.assert_no_temporary_files()
        (self.dir / "null").symlink_to("/dev/null")
        self.assert_refused(BAD_INPUT, "decrypt", "net.client", "--keys", "keys", "--in", "out.sotto", "--csv", "null", words=["null"])

    def test_endings_that_are_there_already(self):
        for name in ("x.plan", "x.client"):
            self.sotto("compile", "net.onnx", "--out", name)
            self.assertTrue((self.dir / "x.plan").exists() and (self.dir / "x.client").exists())
            self.assertEqual(sorted(p.name for p in self.dir.glob("x.*")), ["x.client", "x.plan"])
            (self.dir / "x.plan").unlink()
            (self.dir / "x.client").unlink()


class Rights(PreparedCase):
    """As a user who may not do everything."""

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("only root can become another user")
        super().setUpClass()
        cls.encrypt()
        for path in (cls.dir, cls.dir / "keys", cls.dir / "images"):
            path.chmod(0o755)
        (cls.dir / "tmp").chmod(0o777)
        (cls.dir / "place").mkdir()
        (cls.dir / "place").chmod(0o777)

    def nobody(self, *args):
        def leave_root():
            os.setgid(65534)
            os.setuid(65534)
        return harness.run(*args, cwd=self.dir, env=self.env, prepare=leave_root)

    def give_secrets(self, user):
        """The secret key and the notes of its plans, which only their owner may read."""
        for path in (self.dir / "keys/secret.key", self.dir / "keys/plans", *(self.dir / "keys/plans").iterdir()):
            os.chown(path, user, user)

    def test_a_key_folder_that_may_only_be_read(self):
        self.give_secrets(65534)
        r = self.nobody("encrypt", "net.client", "--keys", "keys", "--data", "images", "--out", "place/in.sotto")
        self.assertEqual(r.code, OK, r)
        self.assertIn("no record", r.err)
        self.assertIn("--data", r.err)
        self.infer("place/in.sotto", "place/out.sotto")
        self.decrypt("place/out.sotto", "--data", "images", "--csv", "place/labels.csv")

    def test_permission_is_the_reason_given(self):
        shutil.copytree(self.dir / "images", self.dir / "shut")
        (self.dir / "shut/cat/0000.png").chmod(0o600)
        (self.dir / "closed.npy").write_bytes(b"x")
        (self.dir / "closed.npy").chmod(0o600)
        (self.dir / "closed.client").write_bytes((self.dir / "net.client").read_bytes())
        (self.dir / "closed.client").chmod(0o600)
        self.give_secrets(0)
        encrypt = ["encrypt", "net.client", "--keys", "keys", "--out", "place/x", "--data"]
        for verb in ([*encrypt, "shut"], [*encrypt, "closed.npy"], [*encrypt, "images"], ["plan", "closed.client"], ["keygen", "net.client", "--out", "new-keys"],
                     ["encrypt", "net.client", "--keys", "keys", "--out", "x", "--data", "images"]):
            with self.subTest(verb):
                r = self.nobody(*verb)
                self.assertEqual(r.code, BAD_INPUT, r)
                self.assert_one_line(r, "Permission denied")


class ControlGroup(PreparedCase):
    """Less memory than the machine has."""

    network = models.Network(side=16, channels=24)
    pictures = 2

    @classmethod
    def setUpClass(cls):
        lines = [line.split(":") for line in Path("/proc/self/cgroup").read_text().splitlines()]
        groups = [Path("/sys/fs/cgroup/memory" + line[2]) for line in lines if "memory" in line[1].split(",")]
        cls.group = groups[0] / f"sotto-test-{os.getpid()}" if groups else None
        try:
            cls.group.mkdir()
        except (AttributeError, OSError) as e:
            raise unittest.SkipTest(f"no memory control group of version 1 can be made here: {e}") from None
        cls.addClassCleanup(cls.group.rmdir)
        super().setUpClass()
        cls.encrypt()

    def test_infer_refuses_what_would_be_killed(self):
        (self.group / "memory.limit_in_bytes").write_text(str(200 << 20))
        verb = ["infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "out.sotto"]
        r = harness.run(*verb, cwd=self.dir, env=self.env, prepare=lambda: (self.group / "cgroup.procs").write_text(str(os.getpid())))
        self.assertEqual(r.code, NO_RESOURCES, r)
        self.assert_one_line(r, "free")


if __name__ == "__main__":
    harness.main()
