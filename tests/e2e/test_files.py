"""Files that are damaged, of another kind or version, hostile, or that do not belong together."""

import json
import os
import random

import harness
import models
from harness import BAD_INPUT, USAGE, WRONG_KEY, Container, PreparedCase

KINDS = ("net.plan", "net.client", "secret.key", "eval.key", "public.key", "in.sotto", "out.sotto")


class FilesCase(PreparedCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sotto("keygen", "net.client", "--out", "keys", "--public-key", "keys/public.key")
        cls.encrypt()
        cls.infer()
        (cls.dir / "broken").mkdir()
        cls.seed = harness.owner_seed((cls.dir / "keys/secret.key").read_bytes())
        cls.good = {name: (cls.dir / "keys" / name if name.endswith(".key") else cls.dir / name).read_bytes() for name in KINDS}

    def signed(self, container):
        """With right checksums, and the owner's signature where the file is signed: what an owner may send who means harm."""
        return container.bytes(seed=self.seed if "signer" in container.header else None)

    def users(self, kind, path):
        """Every verb that reads this kind of file, with `path` in its place."""
        files = {"net.plan": "net.plan", "net.client": "net.client", "secret.key": "keys/secret.key", "eval.key": "keys/eval.key",
                 "public.key": "keys/public.key", "in.sotto": "in.sotto", "out.sotto": "out.sotto", kind: path}
        encrypt = ["encrypt", files["net.client"], "--keys", files["secret.key"], "--data", "images", "--out", "new.sotto"]
        encrypt_for = ["encrypt", files["net.client"], "--public-key", files["public.key"], "--data", "images", "--out", "new.sotto"]
        decrypt = ["decrypt", files["net.client"], "--keys", files["secret.key"], "--in", files["out.sotto"], "--out", "new.npy"]
        infer = ["infer", files["net.plan"], "--eval-key", files["eval.key"], "--in", files["in.sotto"], "--out", "new.sotto"]
        return {"net.plan": [infer, ["plan", path], ["plan", path, "--json"]],
                "net.client": [encrypt, encrypt_for, decrypt, ["plan", path], ["keygen", path, "--out", "new-keys"]],
                "secret.key": [encrypt, decrypt], "eval.key": [infer], "public.key": [encrypt_for], "in.sotto": [infer], "out.sotto": [decrypt]}[kind]

    def refuse(self, kind, data, code=BAD_INPUT, verbs=None, words=()):
        path = self.dir / "broken" / kind
        path.write_bytes(data)
        for verb in self.users(kind, f"broken/{kind}")[:verbs]:
            self.assert_refused(code, *verb, words=words)


class Damaged(FilesCase):
    def test_truncated(self):
        for kind in KINDS:
            good = self.good[kind]
            end = Container(good).header_end
            for length in sorted({0, 1, 8, 23, 55, 56, end // 2, end - 1, end, (end + len(good)) // 2, len(good) - 33, len(good) - 1}):
                if length < len(good):
                    with self.subTest(kind=kind, length=length):
                        self.refuse(kind, good[:length], verbs=1)
            with self.subTest(kind=kind, longer=True):
                self.refuse(kind, good + b"\0", verbs=1)

    def test_flipped_bits(self):
        rng = random.Random(20)
        for kind in KINDS:
            good = self.good[kind]
            end = Container(good).header_end
            places = [rng.randrange(end) for _ in range(6)] + [rng.randrange(end, len(good)) for _ in range(6 if end < len(good) else 0)]
            for k, place in enumerate(places):
                with self.subTest(kind=kind, place=place):
                    data = bytearray(good)
                    data[place] ^= 1 << rng.randrange(8)
                    self.refuse(kind, bytes(data), verbs=None if k in (0, 6) else 1)

    def test_sections_in_another_order(self):
        swapped = 0
        for kind in ("eval.key", "in.sotto", "out.sotto"):
            good = self.good[kind]
            c = Container(good)
            if len(c.sections) < 2 or len(c.sections[0]) != len(c.sections[1]):
                continue
            swapped += 1
            first, second = (len(s) + 32 for s in c.sections[:2])
            a, b, c_ = c.header_end, c.header_end + first, c.header_end + first + second
            with self.subTest(kind):
                self.refuse(kind, good[:a] + good[b:c_] + good[a:b] + good[c_:])
        self.assertGreater(swapped, 0)

    def test_other_version(self):
        for kind in KINDS:
            for version in (0, 1, 0xffffffff):
                with self.subTest(kind=kind, version=version):
                    data = self.good[kind]
                    self.refuse(kind, data[:8] + version.to_bytes(4, "little") + data[12:], words=["version", str(version)])

    def test_other_kind(self):
        for kind in KINDS:
            for other in KINDS:
                if other != kind:
                    with self.subTest(kind=kind, other=other):
                        for verb in self.users(kind, f"keys/{other}" if other.endswith(".key") else other):
                            if verb[0] != "plan":  # which reads several kinds
                                self.assert_refused(BAD_INPUT, *verb)

    def test_no_sotto_file_at_all(self):
        for kind in KINDS:
            for data in (b"", b"hello\n", bytes(4096), self.good[kind][:8] + b"\xff" * 4096):
                with self.subTest(kind=kind, data=data[:12]):
                    self.refuse(kind, data, verbs=1)

    def test_missing_or_a_folder(self):
        for kind in KINDS:
            for path in ("nowhere/file", "images"):
                with self.subTest(kind=kind, path=path):
                    for verb in self.users(kind, path):
                        if not (path == "images" and kind == "secret.key"):
                            self.assert_refused(BAD_INPUT, *verb)
        self.assert_refused(BAD_INPUT, "encrypt", "net.client", "--keys", "images", "--data", "images", "--out", "new.sotto",
                            words=["secret.key"])


    def test_pipe(self):
        # Nobody may ever write into it: refuse, do not wait.
        os.mkfifo(self.dir / "pipe")
        for kind in KINDS:
            for verb in self.users(kind, "pipe"):
                with self.subTest(kind=kind, verb=verb[0]):
                    self.assert_refused(BAD_INPUT, *verb, timeout=3)
        self.assert_refused(BAD_INPUT, "encrypt", "net.client", "--keys", "keys", "--data", "pipe", "--out", "new.sotto", timeout=3)


class Hostile(FilesCase):
    """Right checksums and signatures around wrong contents: what someone may send who wants to harm the reader."""

    def change(self, kind, path, value):
        c = Container(self.good[kind])
        place = c.header
        for step in path[:-1]:
            place = place[step]
        if value is None:
            del place[path[-1]]
        else:
            place[path[-1]] = value
        return c

    def test_the_unchanged_file_is_accepted(self):
        # Otherwise the tests below would prove nothing.
        for kind in KINDS:
            (self.dir / "broken" / kind).write_bytes(self.signed(Container(self.good[kind])))
            for verb in self.users(kind, f"broken/{kind}"):
                self.sotto(*verb)
                for name in ("new.sotto", "new.npy"):
                    (self.dir / name).unlink(missing_ok=True)

    def test_header_values(self):
        big = [-1, 0, 1 << 31, 1 << 40, (1 << 63) - 1, 1 << 64, 1e300, "x", [], {}, None]
        paths = {
            "net.plan": [["batch"], ["tile"], ["tile", "w"], ["parameters", "log_n"], ["parameters", "ciphertext_primes"], ["parameters", "prime_bits"],
                         ["tensors", 0, "layout", "channels"], ["tensors", 1, "layout", "height"], ["tensors", 1, "layout", "gap"],
                         ["tensors", 0, "layout", "phases"], ["tensors", 1, "scale"], ["tensors", 1, "level", "limbs"], ["tensors", 1, "level", "absent"], ["steps", 0, "output"],
                         ["steps", 0, "level", "limbs"], ["steps", 0, "early"], ["steps", 0, "bias"], ["steps", 0, "terms", 0, "source"],
                         ["steps", 0, "terms", 0, "kernel", "h"], ["steps", 0, "terms", 0, "weights"], ["interface", "outputs"],
                         ["interface", "mean"], ["key_request", "tiers", 0, "special"], ["key_request", "keys", 0, "galois_element"],
                         ["plan_id"], ["steps"], ["sections"]],
            "net.client": [["batch"], ["tile"], ["tile", "w"], ["parameters", "log_n"], ["parameters", "special_primes"], ["parameters", "prime_bits"],
                           ["input", "layout", "channels"], ["input", "layout", "height"], ["input", "layout", "phases"],
                           ["input", "scale"], ["input", "level", "limbs"], ["output", "level", "limbs"], ["output", "scale"], ["interface", "channels"],
                           ["interface", "std"], ["key_request", "tiers", 0, "max_limbs"], ["key_request", "keys", 0, "tier"],
                           ["key_request", "keys"], ["plan_id"], ["sections"]],
            "in.sotto": [["images"], ["batch"], ["per_batch"], ["limbs"], ["scale"], ["seed"], ["sections"], ["plan_id"], ["key_id"]],
            "out.sotto": [["images"], ["batch"], ["per_batch"], ["limbs"], ["absent"], ["scale"], ["sections"], ["plan_id"], ["key_id"]],
            "eval.key": [["key_id"], ["rings"], ["rings", 0, "log_n"], ["rings", 0, "ring"], ["rings", 0, "prime_bits"], ["rings", 0, "keys"],
                         ["rings", 0, "keys", 0], ["rings", 0, "keys", 0, 0], ["rings", 0, "keys", 0, 1], ["sections"]],
            "secret.key": [["key_id"], ["sections"]],
            "public.key": [["log_n"], ["ring"], ["prime_bits"], ["small_primes"], ["limbs"], ["seed"], ["sections"]],
        }
        rng = random.Random(5)
        for kind, places in paths.items():
            for path in places:
                # Any positive number is a scale, and an empty list a list of keys.
                same = kind == "net.client" and path == ["sections"]  # it has none
                wrong = [v for v in big if not (same and v == []) and not (path[-1] == "scale" and isinstance(v, int) and v > 1) and (path[-1], v) != ("keys", [])]
                for value in rng.sample(wrong, 2):
                    with self.subTest(kind=kind, path=path, value=value):
                        data = self.signed(self.change(kind, path, value))
                        (self.dir / "broken" / kind).write_bytes(data)
                        verb = self.users(kind, f"broken/{kind}")[0]
                        before = harness.tree(self.dir)
                        r = harness.run(*verb, cwd=self.dir, env=self.env, timeout=30)
                        self.assertIn(r.code, (BAD_INPUT, WRONG_KEY), r)
                        self.assert_one_line(r)
                        self.assertEqual(harness.tree(self.dir), before)

    def test_header_that_is_no_object(self):
        for text in (b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"sections": [1e999]}', b"[" * 100000, b'{"a":' * 100000):
            for kind in ("net.plan", "in.sotto"):
                with self.subTest(kind=kind, text=text[:20]):
                    self.refuse(kind, Container(self.good[kind]).bytes(text), verbs=1)

    def test_words_out_of_range(self):
        # 48-bit words that are no residues.
        for kind in ("in.sotto", "out.sotto", "eval.key", "public.key"):
            with self.subTest(kind):
                c = Container(self.good[kind])
                c.sections = [s[:-6] + b"\xff" * 6 for s in c.sections]
                self.refuse(kind, self.signed(c), words=["range"])

    def test_weights_that_are_no_numbers(self):
        c = Container(self.good["net.plan"])
        c.sections = [b"\0\0\0\0\0\0\xf8\x7f" * (len(c.sections[0]) // 8)]
        self.refuse("net.plan", c.bytes(), words=["number"])

    def test_weights_that_someone_changed(self):
        # The identity of a plan covers its weights.
        c = Container(self.good["net.plan"])
        c.sections = [c.sections[0][8:16] + c.sections[0][:8] + c.sections[0][16:]]
        self.refuse("net.plan", c.bytes(), words=["identity"])

    def test_input_id_names_no_other_file(self):
        # It becomes part of a file name beside the keys.
        (self.dir / "secret.json").write_text(json.dumps({"sources": [str(self.dir / "images")], "start": 0, "count": 5}))
        data = self.change("out.sotto", ["input_id"], "../../secret").bytes()
        (self.dir / "broken/out.sotto").write_bytes(data)
        r = self.sotto("decrypt", "net.client", "--keys", "keys", "--in", "broken/out.sotto")
        self.assertNotIn("0000.png", r.out)


class Mismatched(FilesCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        models.Network(seed=3).save(cls.dir / "other.onnx")
        cls.sotto("compile", "other.onnx", "--out", "other")
        cls.sotto("keygen", "other.client", "--out", "other-plan")
        cls.encrypt("other-in.sotto", keys="other-plan", client="other.client")
        cls.infer("other-in.sotto", "other-out.sotto", "other.plan", "other-plan/eval.key")
        cls.sotto("keygen", "net.client", "--out", "second")
        cls.encrypt("second-in.sotto", keys="second")

    def test_eval_key_of_another_plan(self):
        models.Network(depth=3).save(self.dir / "deep.onnx")
        self.sotto("compile", "deep.onnx", "--out", "alone")
        for name in ("net", "alone"):
            self.sotto("keygen", f"{name}.client", "--out", "keys", "--eval-key", f"{name}.key")
        self.sotto("encrypt", "alone.client", "--keys", "keys", "--data", "images", "--out", "alone.sotto")
        self.assert_refused(WRONG_KEY, "infer", "alone.plan", "--eval-key", "net.key", "--in", "alone.sotto", "--out", "x.sotto",
                            words=["plan"])

    def test_eval_key_of_another_key(self):
        self.assert_refused(WRONG_KEY, "infer", "net.plan", "--eval-key", "second/eval.key", "--in", "in.sotto", "--out", "x.sotto",
                            words=["key"])

    def test_input_of_another_plan(self):
        self.assert_refused(WRONG_KEY, "infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "other-in.sotto", "--out", "x.sotto",
                            words=["plan"])

    def test_input_of_another_key(self):
        self.assert_refused(WRONG_KEY, "infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "second-in.sotto", "--out", "x.sotto",
                            words=["key"])

    def test_plan_of_another_network(self):
        self.assert_refused(WRONG_KEY, "infer", "other.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "x.sotto")

    def test_decrypt_with_another_secret(self):
        self.assert_refused(WRONG_KEY, "decrypt", "net.client", "--keys", "second", "--in", "out.sotto", "--out", "x.npy", words=["key"])

    def test_decrypt_output_of_another_plan(self):
        self.assert_refused(WRONG_KEY, "decrypt", "net.client", "--keys", "keys", "--in", "other-out.sotto", "--out", "x.npy",
                            words=["plan"])

    def test_one_secret_serves_several_plans(self):
        # A key folder has the evaluation keys of its first plan; those of the next go elsewhere, under the same secret.
        more = ["keygen", "other.client", "--out", "keys"]
        self.assert_refused(USAGE, *more, words=["eval.key", "--eval-key"])
        secret = (self.dir / "keys/secret.key").read_bytes()
        self.sotto(*more, "--eval-key", "other.key")
        self.assertEqual((self.dir / "keys/secret.key").read_bytes(), secret)
        self.sotto("encrypt", "other.client", "--keys", "keys", "--data", "images", "--out", "other-mine.sotto")
        self.sotto("infer", "other.plan", "--eval-key", "other.key", "--in", "other-mine.sotto", "--out", "other-result.sotto")
        self.sotto("decrypt", "other.client", "--keys", "keys", "--in", "other-result.sotto", "--out", "other.npy")

    def test_one_file_serves_several_plans(self):
        # Of one ring and of another: what plans have in common is there once.
        models.Network(depth=3).save(self.dir / "deep.onnx")
        self.sotto("compile", "deep.onnx", "--out", "deep")
        self.sotto("keygen", "net.client", "other.client", "deep.client", "--out", "keys", "--eval-key", "all.key")
        alone = {}
        for name in ("net", "other", "deep"):
            self.sotto("keygen", f"{name}.client", "--out", "keys", "--eval-key", f"{name}.key")
            alone[name] = (self.dir / f"{name}.key").stat().st_size
        self.assertLess((self.dir / "all.key").stat().st_size, sum(alone.values()))
        for name in alone:
            self.sotto("encrypt", f"{name}.client", "--keys", "keys", "--data", "images", "--out", f"{name}-q.sotto")
            for key in (f"{name}.key", "all.key"):
                self.sotto("infer", f"{name}.plan", "--eval-key", key, "--in", f"{name}-q.sotto", "--out", f"{name}-r.sotto")
                self.sotto("decrypt", f"{name}.client", "--keys", "keys", "--in", f"{name}-r.sotto", "--out", f"{name}.npy")
        self.assert_refused(USAGE, "keygen", "net.client", "--out", "keys", "--eval-key", "all.key", words=["another plan"])
        self.assert_refused(USAGE, "keygen", "net.client", "--out", "second", "--eval-key", "net.key", words=["another owner"])

    def test_secret_of_another_owner(self):
        self.sotto("keygen", "net.client", "--out", "other-plan", "--eval-key", "others-net.key")
        self.sotto("encrypt", "net.client", "--keys", "other-plan", "--data", "images", "--out", "strange.sotto")
        self.assert_refused(WRONG_KEY, "infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "strange.sotto", "--out", "x.sotto",
                            words=["key"])
        self.assert_refused(WRONG_KEY, "decrypt", "net.client", "--keys", "other-plan", "--in", "out.sotto", words=["key"])

    def test_forged_identities_do_not_give_labels(self):
        # An output that only claims to belong to this key decrypts to noise, which must not pass for scores.
        self.sotto("keygen", "net.client", "--out", "stranger")
        self.sotto("encrypt", "net.client", "--keys", "stranger", "--data", "images", "--out", "strangers.sotto")
        self.sotto("infer", "net.plan", "--eval-key", "stranger/eval.key", "--in", "strangers.sotto", "--out", "strangers-out.sotto")
        c = Container((self.dir / "strangers-out.sotto").read_bytes())
        c.header = Container(self.good["out.sotto"]).header
        (self.dir / "broken/forged.sotto").write_bytes(c.bytes())
        self.assert_refused(WRONG_KEY, "decrypt", "net.client", "--keys", "keys", "--in", "broken/forged.sotto", "--out", "x.npy")


if __name__ == "__main__":
    harness.main()
