"""Command lines, models and images that must be refused: exit code, one line that says why, no file left behind."""

import os
import shutil
import subprocess

import numpy as np
import onnx
from onnx import helper

import harness
import models
from harness import BAD_INPUT, NO_RESOURCES, USAGE, Case, PreparedCase


class Usage(PreparedCase):
    def test_command_lines(self):
        encrypt = ["encrypt", "net.client", "--keys", "keys", "--data", "images", "--out", "x.sotto"]
        infer = ["infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "x.sotto"]
        for args in ([], ["nonsense"], ["--nonsense"], ["plan"], ["plan", "net.plan", "--nonsense"], ["plan", "net.plan", "extra"],
                     ["compile", "net.onnx"], ["compile", "--out", "x"], ["compile", "net.onnx", "--out", "x", "--batch", "0"],
                     ["compile", "net.onnx", "--out", "x", "--batch", "-5"], ["compile", "net.onnx", "--out", "x", "--batch", "many"],
                     ["compile", "net.onnx", "--out", "x", "--batch", "65537"], ["compile", "net.onnx", "--out"],
                     ["keygen", "net.client"], ["keygen", "--out", "x"], encrypt[:-2], [*encrypt, "--start", "-1"],
                     [*encrypt, "--count", "0"], [*encrypt, "--count", "two"], [*encrypt, "--count", "-1"],
                     [*encrypt, "--count", "18446744073709551616"], [*encrypt, "--start", "0x10"],
                     [*encrypt, "--out", "y.sotto"], infer[:-2], [*infer, "--threads", "0"], [*infer, "--threads", "x"],
                     ["decrypt", "net.client", "--keys", "keys"], ["evaluate", "net.onnx"], ["evaluate", "--data", "images"],
                     ["evaluate", "net.onnx", "--data", "images", "--threads", "0"],
                     ["evaluate", "net.onnx", "--data", "images", "--sheet", "x.gif"], ["bench", "nonsense"]):
            with self.subTest(args=args):
                self.assert_refused(USAGE, *args)

    def test_empty_values(self):
        """A variable that a script did not set must not switch off what its option asks for."""
        decrypt = ["decrypt", "net.client", "--keys", "keys", "--in", "out.sotto"]
        infer = ["infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "x.sotto"]
        for command, options in ((decrypt, ("--from", "--signer", "--for", "--csv", "--out")),
                                 (infer, ("--public-key", "--signing-key", "--memory")),
                                 (["compile", "net.onnx", "--out", "x"], ("--signer", "--calibrate")),
                                 (["encrypt", "net.client", "--public-key", "p", "--data", "images", "--out", "x"], ("--signing-key",))):
            for option in options:
                with self.subTest(verb=command[0], option=option):
                    self.assert_refused(USAGE, *command, option, "", words=[option, "an empty value"])

    def test_a_pipe_is_no_specification(self):
        os.mkfifo(self.dir / "spec.toml")
        self.assert_refused(BAD_INPUT, "compile", "net.onnx", "--train", "spec.toml", "--out", "x", words=["spec.toml", "TOML"])

    def test_what_is_not_understood_is_named(self):
        for args, word in ((["fetch"], "unknown verb 'fetch'"), (["--fetch"], "unknown option '--fetch'"),
                           (["a\x1b[31mb"], "unknown verb 'a?[31mb'"),
                           (["plan", "--fetch"], "unknown option '--fetch'"),
                           (["plan", "net.plan", "other"], "unknown argument 'other'"),
                           (["encrypt", "net.client", "--key", "keys"], "unknown option '--key'"),
                           (["infer", "--", "net.plan"], "is required"),
                           (["encrypt", "net.client", "--count", "x"], "--count: 'x' is not a number")):
            with self.subTest(args=args):
                self.assert_refused(USAGE, *args, words=[word])
        self.assert_refused(BAD_INPUT, "plan", "a\x1b[31mb", words=["a?[31mb: cannot read"])

    def test_amounts_of_memory(self):
        for text in ("lots", "-1G", "0", "nan", "inf", "8X", "8GG", "1e400", "G", "8 apples"):
            with self.subTest(text):
                self.assert_refused(USAGE, "compile", "net.onnx", "--out", "x", "--memory", text, words=["memory"])
        for text in ("8G", "8g", "8GiB", "8GB", "1.5T", "8589934592"):
            with self.subTest(text):
                self.sotto("plan", "net.onnx", "--memory", text)

    def test_help_and_version(self):
        for args in (["--help"], ["--version"], *([verb, "--help"] for verb in
                     ("compile", "plan", "keygen", "encrypt", "infer", "decrypt", "evaluate", "bench"))):
            with self.subTest(args=args):
                r = self.sotto(*args)
                self.assertEqual(r.err, "")
                self.assertTrue(r.out)

    def test_server_program_knows_no_client_verbs(self):
        for verb in ("keygen", "encrypt", "decrypt", "evaluate"):
            self.assert_refused(USAGE, verb, program=harness.SERVER)

    def test_keygen_keeps_existing_keys(self):
        self.assert_refused(USAGE, "keygen", "net.client", "--out", "keys", words=["--force"])

    def test_memory_too_small_for_a_batch(self):
        for verb in (["compile", "net.onnx", "--out", "x", "--batch", "1024"], ["plan", "net.onnx", "--batch", "1024"]):
            r = self.assert_refused(NO_RESOURCES, *verb, "--memory", "20M")
            self.assertRegex(r.err, r"needs? about [0-9.]+ [MG]iB")
        self.encrypt()
        r = self.assert_refused(NO_RESOURCES, "infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "x.sotto",
                                "--memory", "20M")
        self.assertRegex(r.err, r"needs? about [0-9.]+ [MG]iB")


class Places(PreparedCase):
    """Where results cannot go."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.encrypt()
        cls.infer()

    def writers(self, out):
        return (["compile", "net.onnx", "--out", out], ["keygen", "net.client", "--out", out],
                ["encrypt", "net.client", "--keys", "keys", "--data", "images", "--out", out],
                ["infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", out],
                *(["decrypt", "net.client", "--keys", "keys", "--in", "out.sotto", option, out + ending]
                  for option, ending in (("--out", ""), ("--csv", ""), ("--sheet", ".png"), ("--sheet", ".html"))))

    def test_other_sotto_files_are_not_replaced(self):
        before = {name: (self.dir / name).read_bytes() for name in ("net.plan", "net.client", "keys/eval.key", "in.sotto", "out.sotto")}
        for option, name in (("--out", "net.plan"), ("--csv", "net.client"), ("--out", "keys/eval.key"), ("--csv", "out.sotto")):
            with self.subTest(option=option, name=name):
                self.assert_refused(BAD_INPUT, "decrypt", "net.client", "--keys", "keys", "--in", "out.sotto", option, name, words=[name])
        self.assert_refused(BAD_INPUT, "infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "in.sotto",
                            words=["in.sotto"])
        for name, contents in before.items():
            self.assertEqual((self.dir / name).read_bytes(), contents, name)

    def test_two_outputs_of_one_name(self):
        self.assert_refused(USAGE, "decrypt", "net.client", "--keys", "keys", "--in", "out.sotto", "--out", "same", "--csv", "./same",
                            words=["same"])
        self.assertFalse((self.dir / "same").exists())

    def test_a_damaged_key_is_found_before_any_work(self):
        damaged = bytearray((self.dir / "keys/eval.key").read_bytes())
        damaged[-100] ^= 1
        (self.dir / "damaged.key").write_bytes(damaged)
        r = self.assert_refused(BAD_INPUT, "infer", "net.plan", "--eval-key", "damaged.key", "--in", "in.sotto", "--out", "y.sotto")
        self.assertNotIn("inference:", r.err)

    def test_packing_of_a_plan_is_fixed(self):
        self.assert_refused(USAGE, "plan", "net.plan", "--batch", "3", words=["--batch"])
        self.assert_refused(NO_RESOURCES, "plan", "net.plan", "--memory", "1M")

    def test_folder_that_does_not_exist(self):
        for verb in self.writers("nowhere/x"):
            if verb[0] != "keygen":  # which makes its folder
                with self.subTest(verb=verb):
                    self.assert_refused(BAD_INPUT, *verb, words=["nowhere/x"])

    def test_file_instead_of_a_folder(self):
        for verb in self.writers("net.onnx/x"):
            with self.subTest(verb=verb):
                self.assert_refused(BAD_INPUT, *verb, words=["net.onnx/x"])

    def test_folder_instead_of_a_file(self):
        for ending in (".plan", ".client", ".png", ".html", ""):
            (self.dir / f"taken{ending}").mkdir()
        for verb in self.writers("taken"):
            if verb[0] != "keygen":
                with self.subTest(verb=verb):
                    self.assert_refused(BAD_INPUT, *verb, words=["taken"])

    def test_compile_leaves_no_plan_without_its_client_file(self):
        (self.dir / "half.client").mkdir()
        self.assert_refused(BAD_INPUT, "compile", "net.onnx", "--out", "half")
        (self.dir / "half.plan").write_text("an older plan")
        self.assert_refused(BAD_INPUT, "compile", "net.onnx", "--out", "half")

    def test_name_that_is_too_long(self):
        for verb in self.writers("x" * 300):
            with self.subTest(verb=verb[0], option=verb[-2]):
                self.assert_refused(BAD_INPUT, *verb)
        self.assert_refused(BAD_INPUT, "encrypt", "net.client", "--keys", "x" * 300, "--data", "images", "--out", "x")
        self.assert_refused(BAD_INPUT, "encrypt", "net.client", "--keys", "keys", "--data", "x" * 300, "--out", "x")

    def test_folder_without_permission(self):
        if os.geteuid() == 0:
            self.skipTest("root may write everywhere")
        closed = self.dir / "closed"
        closed.mkdir(mode=0o500)
        for verb in self.writers("closed/x"):
            with self.subTest(verb=verb):
                self.assert_refused(BAD_INPUT, *verb)

    def test_input_without_its_record(self):
        # Success with the input, or failure without: not a failure that leaves it behind, nor one that takes an older input along.
        shutil.copytree(self.dir / "keys", self.dir / "full-keys")
        shutil.rmtree(self.dir / "full-keys/inputs")
        (self.dir / "full-keys/inputs").write_text("not a folder")
        for old in (False, True):
            with self.subTest(old=old):
                if old:
                    (self.dir / "x.sotto").write_text("an older input")
                before = harness.tree(self.dir)
                r = harness.run("encrypt", "net.client", "--keys", "full-keys", "--data", "images", "--out", "x.sotto", cwd=self.dir, env=self.env)
                if r.code != 0:
                    self.assertEqual(harness.tree(self.dir), before, r)
                (self.dir / "x.sotto").unlink(missing_ok=True)

    def test_names_that_are_no_text(self):
        # Linux file names are bytes, and not always UTF-8.
        odd = os.fsdecode(b"caf\xe9")
        shutil.copy(self.dir / "net.onnx", self.dir / f"{odd}.onnx")
        shutil.copytree(self.dir / "images", self.dir / odd)
        self.sotto("compile", f"{odd}.onnx", "--out", odd)
        self.sotto("keygen", f"{odd}.client", "--out", f"{odd}-keys")
        self.sotto("encrypt", f"{odd}.client", "--keys", f"{odd}-keys", "--data", odd, "--out", f"{odd}.in")
        self.sotto("infer", f"{odd}.plan", "--eval-key", f"{odd}-keys/eval.key", "--in", f"{odd}.in", "--out", f"{odd}.out")
        self.sotto("decrypt", f"{odd}.client", "--keys", f"{odd}-keys", "--in", f"{odd}.out", "--csv", f"{odd}.csv", "--sheet", f"{odd}.png")

    def test_standard_output_that_is_full(self):
        for args in (["plan", "net.plan", "--json"], ["decrypt", "net.client", "--keys", "keys", "--in", "out.sotto"], ["--help"]):
            with self.subTest(args=args), open("/dev/full", "wb") as full:
                p = subprocess.run([str(harness.SOTTO), *args], cwd=self.dir, stdout=full, stderr=subprocess.PIPE)
                self.assertEqual(p.returncode, NO_RESOURCES, p.stderr)
                self.assertEqual(len(p.stderr.splitlines()), 1)

    def test_standard_output_that_nobody_reads(self):
        # `sotto plan ... | head` is no error worth a line.
        decrypt = ["decrypt", "net.client", "--keys", "keys", "--in", "out.sotto"]
        for args in (["plan", "net.plan"], ["plan", "net.plan", "--json"], decrypt, [*decrypt, "--json", "-"], ["--help"]):
            with self.subTest(args=args):
                reader, writer = os.pipe()
                os.close(reader)
                with os.fdopen(writer, "wb") as broken:
                    p = subprocess.run([str(harness.SOTTO), *args], cwd=self.dir, stdout=broken, stderr=subprocess.PIPE, text=True)
                self.assertEqual(p.returncode, 141, p.stderr)
                self.assertEqual([line for line in p.stderr.splitlines() if not harness.PROGRESS.match(line)], [])


class Images(PreparedCase):
    def refuse(self, data, *words, code=BAD_INPUT, more=()):
        self.assert_refused(code, "encrypt", "net.client", "--keys", "keys", "--data", *data, *more, "--out", "x.sotto", words=words)
        self.assert_refused(code, "evaluate", "net.onnx", "--data", *data, *more, words=words)

    def test_other_size(self):
        harness.write_pictures(self.dir / "large", models.random_images(1, 16))
        self.refuse(["large"], "16x16", "8x8")

    def test_one_bad_image_among_good_ones(self):
        shutil.copytree(self.dir / "images", self.dir / "mixed")
        (self.dir / "mixed/zzz.png").write_bytes(harness.png_bytes(models.random_images(1, 9)[0]))
        self.refuse(["mixed"], "zzz.png", "9x9")

    def test_empty_folder(self):
        (self.dir / "empty/deeper").mkdir(parents=True)
        (self.dir / "empty/notes.txt").write_text("no picture")
        self.refuse(["empty"], "no images")

    def test_missing(self):
        self.refuse(["nowhere"], "nowhere")
        self.refuse(["images/nowhere.png"], "nowhere.png")

    def test_damaged(self):
        good = harness.png_bytes(self.images[0])
        for name, data in (("empty", b""), ("text", b"hello"), ("cut", good[:len(good) // 2]), ("header", good[:33]),
                           ("huge", good[:16] + b"\x7f\xff\xff\xff\x7f\xff\xff\xff" + good[24:])):
            with self.subTest(name):
                (self.dir / f"{name}.png").write_bytes(data)
                self.refuse([f"{name}.png"], f"{name}.png")

    def test_start_and_count_beyond_the_end(self):
        for more in (["--start", "5"], ["--count", "6"], ["--start", "3", "--count", "3"], ["--start", str(2 ** 63)],
                     ["--start", "1", "--count", str(2 ** 64 - 1)]):
            with self.subTest(more):
                self.refuse(["images"], "5 images", more=more)

    def test_cifar(self):
        # Of another size than this network's images, cut in the middle of a record, empty.
        harness.write_cifar(self.dir / "cifar", 2, 3)
        self.refuse(["cifar10:cifar"], "3x32x32", "3x8x8")
        models.Network(side=32).save(self.dir / "cifar.onnx")
        data = (self.dir / "cifar/test_batch.bin").read_bytes()
        for name, part in (("cut", data[:-1]), ("none", b"")):
            (self.dir / name).mkdir()
            (self.dir / name / "test_batch.bin").write_bytes(part)
            self.assert_refused(BAD_INPUT, "evaluate", "cifar.onnx", "--data", f"cifar10:{name}")
        self.assert_refused(BAD_INPUT, "evaluate", "cifar.onnx", "--data", "cifar100:cifar", words=["test.bin"])
        self.assert_refused(BAD_INPUT, "evaluate", "cifar.onnx", "--data", "cifar10:nowhere", words=["nowhere"])
        self.assert_refused(USAGE, "evaluate", "cifar.onnx", "--data", "cifar10:cifar", "images")


class Models(Case):
    def refuse(self, code, nodes, constants=(), *words, shape=(3, 8, 8), outputs=3, metadata=None):
        models.save(self.dir / "bad.onnx", nodes, list(constants), shape, outputs, metadata)
        for verb in (["compile", "bad.onnx", "--out", "x"], ["plan", "bad.onnx"]):
            self.assert_refused(code, *verb, words=words)

    @staticmethod
    def ending(name, channels=3):
        """Pool and fully connected layer after the value `name`."""
        return [helper.make_node("GlobalAveragePool", [name], ["pool"], "pool"), helper.make_node("Flatten", ["pool"], ["flat"], "flat"),
                helper.make_node("Gemm", ["flat", "w"], ["scores"], "dense")], [models.tensor("w", np.ones((channels, 3)))]

    def test_operators_that_do_not_run_encrypted(self):
        for op, attributes in (("LpPool", {"kernel_shape": [2, 2]}), ("ThresholdedRelu", {}), ("Softmax", {}), ("LRN", {}),
                               ("NotAnOperator", {})):
            with self.subTest(op):
                nodes, constants = self.ending("y")
                self.refuse(BAD_INPUT, [helper.make_node(op, ["image"], ["y"], "the-culprit", **attributes), *nodes], constants,
                            "the-culprit", op, "bad.onnx")

    def test_sizes_that_do_not_meet(self):
        nodes, constants = self.ending("y")
        conv = [helper.make_node("Conv", ["image", k], [k + "y"], k) for k in ("a", "b")]
        constants += [models.tensor(k, np.ones((3, 3, n, n))) for k, n in (("a", 1), ("b", 2))]
        self.refuse(BAD_INPUT, [*conv, helper.make_node("Mul", ["ay", "by"], ["y"], "the-culprit"), *nodes], constants,
                    "the-culprit", "single pixel")

    def test_values_that_explode(self):
        nodes, constants = [], [models.tensor("k", 2 * np.eye(3).reshape(3, 3, 1, 1))]
        name = "image"
        for i in range(80):
            nodes += [helper.make_node("Conv", [name, "k"], [f"c{i}"], f"c{i}", kernel_shape=[1, 1]),
                      helper.make_node("Mul", [f"c{i}", f"c{i}"], [f"s{i}"], f"s{i}")]
            name = f"s{i}"
        more, w = self.ending(name)
        self.refuse(BAD_INPUT, nodes + more, constants + w, "too large")

    def test_numbers_that_are_none(self):
        # Everything that a plan's reader would refuse must be refused before it is written.
        for alpha in (float("inf"), float("nan"), 3e38):
            with self.subTest(alpha):
                nodes, constants = self.ending("image")
                nodes[-1] = helper.make_node("Gemm", ["flat", "w"], ["scores"], "the-culprit", alpha=alpha)
                constants[0] = models.tensor("w", np.full((3, 3), 3e38))
                models.save(self.dir / "bad.onnx", nodes, constants, (3, 8, 8), 3)
                r = harness.run("compile", "bad.onnx", "--out", "x", cwd=self.dir, env=self.env)
                if r.code == 0:
                    self.sotto("plan", "x.plan")
                else:
                    self.assertEqual(r.code, BAD_INPUT, r)
                    self.assert_one_line(r)
        nodes, constants = self.ending("image")
        constants[0] = models.tensor("w", np.full((3, 3), np.nan))
        self.refuse(BAD_INPUT, nodes, constants, "w", "finite")

    def test_what_compiles_can_be_read(self):
        """Shapes at the edge: compile either refuses, or its plan can be shown and keys made for it."""
        cases = {  # side of the image, kernel, stride, pads, batch
            "stride that fits no smaller tile": (300, 3, 3, 1, None), "map that grows": (8, 3, 1, 2, None),
            "map that grows after a stride": (16, 5, 2, 4, None), "large image, small batch": (128, 3, 1, 1, 4),
            "one pixel": (1, 1, 1, 0, None), "stride larger than the image": (4, 3, 8, 1, None), "large pads": (8, 3, 1, 4, None),
            "odd side": (33, 3, 2, 1, None)}
        for name, (side, kernel, stride, pad, batch) in cases.items():
            with self.subTest(name):
                nodes, constants = self.ending("y", 2)
                nodes = [helper.make_node("Conv", ["image", "k"], ["c"], "conv", kernel_shape=[kernel, kernel], strides=[stride, stride],
                                          pads=[pad] * 4), helper.make_node("Mul", ["c", "c"], ["y"], "y"), *nodes]
                constants.append(models.tensor("k", np.ones((2, 3, kernel, kernel))))
                models.save(self.dir / "edge.onnx", nodes, constants, (3, side, side), 3)
                for ending in (".plan", ".client"):
                    (self.dir / f"edge{ending}").unlink(missing_ok=True)
                r = harness.run("compile", "edge.onnx", "--out", "edge", *(["--batch", batch] if batch else []), cwd=self.dir, env=self.env)
                if r.code != 0:
                    self.assertIn(r.code, (BAD_INPUT, NO_RESOURCES), r)
                    self.assert_one_line(r)
                    continue
                self.sotto("plan", "edge.plan")
                shutil.rmtree(self.dir / "edge-keys", ignore_errors=True)
                self.sotto("keygen", "edge.client", "--out", "edge-keys")
                if side <= 128:
                    harness.write_pictures(self.dir / f"edge-{side}", models.random_images(2, side))
                    self.sotto("evaluate", "edge.onnx", "--data", f"edge-{side}", *(["--batch", batch] if batch else []))

    def test_metadata(self):
        nodes, constants = self.ending("image")
        for key, value in (("sotto.mean", "1,2"), ("sotto.mean", "a,b,c"), ("sotto.mean", ""), ("sotto.std", "1,0,1"), ("sotto.std", "1,-1,1"),
                           ("sotto.std", "1,nan,1"), ("sotto.classes", "a,b"), ("sotto.classes", "a,b,c,d")):
            with self.subTest(key=key, value=value):
                self.refuse(BAD_INPUT, nodes, constants, key, metadata={key: value})

    def test_no_model(self):
        models.Network().save(self.dir / "good.onnx")
        good = (self.dir / "good.onnx").read_bytes()
        for name, data in (("empty", b""), ("text", b"hello"), ("cut", good[:len(good) // 2]), ("short", good[:-1]), ("noise", os.urandom(4096))):
            with self.subTest(name):
                (self.dir / f"{name}.onnx").write_bytes(data)
                self.assert_refused(BAD_INPUT, "compile", f"{name}.onnx", "--out", "x", words=[f"{name}.onnx"])
        self.assert_refused(BAD_INPUT, "compile", "nowhere.onnx", "--out", "x", words=["nowhere.onnx"])
        self.assert_refused(BAD_INPUT, "plan", "tmp")

    def test_wrong_graphs(self):
        nodes, constants = self.ending("image")
        behind = onnx.NodeProto()
        behind.CopyFrom(nodes[0])
        behind.input[0] = "a"
        cases = {
            "undefined input": ([helper.make_node("Flatten", ["nothing"], ["scores"], "the-culprit")], []),
            "weights of another shape": (nodes, [models.tensor("w", np.ones((4, 3)))]),
            "cycle": ([helper.make_node("Add", ["b", "image"], ["a"], "a"), helper.make_node("Add", ["a", "image"], ["b"], "b"), behind, *nodes[1:]], constants),
            "output defined twice": ([*nodes, helper.make_node("Flatten", ["pool"], ["scores"], "again")], constants),
            "no nodes": ([], []),
        }
        for name, (graph, weights) in cases.items():
            with self.subTest(name):
                self.refuse(BAD_INPUT, graph, weights)
        self.refuse(BAD_INPUT, nodes, constants, shape=(3, 0, 8))
        self.refuse(BAD_INPUT, nodes, constants, shape=(3, 100000, 8))


if __name__ == "__main__":
    harness.main()
