"""Client descriptions that someone changed, keys of the wrong plan or of an absurd size, headers and models that would take all
memory, and what the programs do to protect themselves."""

import json
import os
import resource
import shutil
import subprocess
import time
import unittest
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import harness
import models
from harness import BAD_INPUT, INTERNAL, NO_RESOURCES, OK, USAGE, WRONG_KEY, Container, PreparedCase, run


class Descriptions(PreparedCase):
    """What binds NAME.client to keys, inputs and results."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.encrypt()
        cls.infer()

    def changed(self, change):
        c = Container((self.dir / "net.client").read_bytes())
        change(c.header)
        (self.dir / "changed.client").write_bytes(c.bytes())
        return "changed.client"

    def test_changed_descriptions(self):
        def permute(h):
            h["interface"]["classes"] = h["interface"]["classes"][1:] + h["interface"]["classes"][:1]

        def silence(h):
            h["watch"]["score_bound"] = 0.0
            h["watch"]["agreement"] = 0.0

        def darken(h):
            h["interface"]["mean"] = [0.0, 0.0, 0.0]

        for change in (permute, silence, darken):
            with self.subTest(change.__name__):
                name = self.changed(change)
                for verb in (["encrypt", name, "--keys", "keys", "--data", "images", "--out", "new.sotto"],
                             ["decrypt", name, "--keys", "keys", "--in", "out.sotto"], ["plan", name],
                             ["keygen", name, "--out", "new-keys"]):
                    self.assert_refused(BAD_INPUT, *verb, words=["identity"])

    def assert_every_member_is_bound(self, client, verbs):
        """Each number, text and list of a description, changed under right checksums, is refused by each verb; `verbs`: with {} for its name."""
        c = Container((self.dir / client).read_bytes())
        original = json.dumps(c.header)

        def members(value, path=()):
            if path and not isinstance(value, dict):
                yield path, value
            for k, inside in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
                if isinstance(value, dict) or k < 2 or k == len(value) - 1:  # of long lists the ends
                    yield from members(inside, (*path, k))

        tried = 0
        for path, value in members(c.header):
            if path in (("network",), ("input", "name")):  # for people only
                continue
            if isinstance(value, bool):
                others = [not value]
            elif isinstance(value, (int, float)):
                others = [value + 1, -value if value else 2]
            elif isinstance(value, list):
                others = [value[1:] if value else [1], value + (value[-1:] or ["x"])]
            else:
                others = [(value or "") + "0"]
            for other in others:
                c.header = json.loads(original)
                inside = c.header
                for k in path[:-1]:
                    inside = inside[k]
                inside[path[-1]] = other
                (self.dir / "changed.client").write_bytes(c.bytes())
                for verb in verbs:
                    with self.subTest(member=path, value=other, verb=verb[0]):
                        self.assert_refused(BAD_INPUT, *(a.format("changed.client") for a in verb), words=["changed.client"])
                tried += 1
        return tried

    def test_every_member_of_a_description_is_bound(self):
        verbs = (["encrypt", "{}", "--keys", "keys", "--data", "images", "--out", "new.sotto"], ["plan", "{}"],
                 ["decrypt", "{}", "--keys", "keys", "--in", "out.sotto"], ["keygen", "{}", "--out", "new-keys", "--max-size", "1K"])
        self.assertGreater(self.assert_every_member_is_bound("net.client", verbs), 80)
        # What is not changed gets further.
        self.assert_refused(NO_RESOURCES, *(a.format("net.client") for a in verbs[3]))

    def test_every_member_of_a_description_for_training_is_bound(self):
        models.save(self.dir / "dense.onnx", [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("Gemm", ["flat", "w", "b"], ["scores"], transB=1)],
                    [models.tensor("w", np.ones((3, 12))), models.tensor("b", np.zeros(3))], (3, 2, 2), 3, {"sotto.mean": "0", "sotto.std": "1"})
        (self.dir / "spec.toml").write_text("batch = 64\nsteps = 2\nrange = 2\n\n[optimiser]\nrate = 0.05\n\n[[schedule]]\nstep = 1\nfactor = 0.5\n")
        np.savez(self.dir / "data.npz", images=np.zeros((64, 3, 2, 2), np.uint8), labels=np.arange(64) % 3)
        self.sotto("compile", "dense.onnx", "--train", "spec.toml", "--out", "dense")
        verbs = (["encrypt", "{}", "--keys", "keys", "--data", "data.npz", "--labels", "--out", "new.sotto"], ["plan", "{}"],
                 ["decrypt", "{}", "--keys", "keys", "--in", "out.sotto", "--out", "new.onnx"], ["keygen", "{}", "--out", "new-keys", "--max-size", "1K"])
        self.assertGreater(self.assert_every_member_is_bound("dense.client", verbs), 120)
        # What is not changed gets further.
        for verb, code in zip(verbs, (WRONG_KEY, OK, WRONG_KEY, NO_RESOURCES)):
            with self.subTest(verb[0]):
                self.assertEqual(run(*(a.format("dense.client") for a in verb), cwd=self.dir, env=self.env).code, code)

    def test_keys_know_their_plans(self):
        made = self.sotto("keygen", "net.client", "--out", "known", "--json", "keys.json")
        plan_id = json.loads((self.dir / "keys.json").read_text())["plan_ids"][0]
        self.assertIn(plan_id, made.out)
        self.assertIn(plan_id, self.sotto("plan", "net.client").out)
        self.assertIn(plan_id, self.sotto("plan", "net.plan").out)
        models.Network(seed=5).save(self.dir / "other.onnx")
        self.sotto("compile", "other.onnx", "--out", "other")
        other = ["encrypt", "other.client", "--keys", "known", "--data", "images", "--out", "other.sotto"]
        self.assert_refused(WRONG_KEY, *other, words=["other.client", "keygen"])
        self.assert_refused(WRONG_KEY, "decrypt", "other.client", "--keys", "known", "--in", "out.sotto", words=["other.client", "keygen"])
        self.sotto("keygen", "other.client", "--out", "known", "--eval-key", "other.key")
        self.sotto(*other)
        # A key without notes serves, and says which plan it is used for.
        (self.dir / "alone").mkdir()
        shutil.copy(self.dir / "known/secret.key", self.dir / "alone")
        r = self.sotto("encrypt", "net.client", "--keys", "alone", "--data", "images", "--out", "alone.sotto")
        self.assertIn(plan_id, r.err)

    def test_no_huge_keys_unasked(self):
        self.assert_refused(NO_RESOURCES, "keygen", "net.client", "--out", "new-keys", "--max-size", "1K", words=["MiB", "--max-size"])
        self.assert_refused(USAGE, "keygen", "net.client", "--out", "new-keys", "--max-size", "many")
        r = self.sotto("keygen", "net.client", "--out", "large", "--max-size", "20G")
        self.assertIn("eval.key", r.out)

    def test_two_at_a_time(self):
        # Whoever comes second leaves what is there.
        commands = [[str(harness.SOTTO), "keygen", "net.client", "--out", "race", "--eval-key", f"race{k}.key"] for k in range(4)]
        runs = [subprocess.Popen(c, cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for c in commands]
        results = [(p.communicate(), p.returncode) for p in runs]
        codes = [code for _, code in results]
        self.assertIn(OK, codes, results)
        self.assertTrue(all(code in (OK, USAGE) for code in codes), results)
        secret = Container((self.dir / "race/secret.key").read_bytes()).header["key_id"]
        for k, code in enumerate(codes):
            if code == OK:
                self.assertEqual(Container((self.dir / f"race{k}.key").read_bytes()).header["key_id"], secret)

    def test_public_keys_are_not_replaced(self):
        self.sotto("keygen", "net.client", "--out", "keys", "--public-key", "public.key")
        self.assert_refused(BAD_INPUT, "encrypt", "net.client", "--keys", "keys", "--data", "images", "--out", "public.key",
                            words=["public key"])


class Bombs(PreparedCase):
    """Small files that ask for much memory."""

    MEGABYTES = 1024

    def limited(self, code, *verb, words=()):
        size = self.MEGABYTES << 20
        self.assert_refused(code, *verb, words=words, prepare=lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size)), timeout=60)

    @unittest.skipIf(harness.SANITIZED, "sanitizers reserve more address space")
    def test_headers(self):
        self.encrypt()
        self.infer()
        # Who reads it, and nearly the longest header that it may have.
        used = {"in.sotto": (["infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "bomb", "--out", "new.sotto"], 15 << 20),
                "keys/eval.key": (["infer", "net.plan", "--eval-key", "bomb", "--in", "in.sotto", "--out", "new.sotto"], 3 << 20),
                "out.sotto": (["decrypt", "net.client", "--keys", "keys", "--in", "bomb"], 15 << 20),
                "net.client": (["plan", "bomb"], 7 << 20), "net.plan": (["plan", "bomb"], 60 << 20)}
        for name, (verb, size) in used.items():
            c = Container((self.dir / name).read_bytes())
            for filler in (b"[],", b"{},", b"[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]],", b'"x",'):
                with self.subTest(file=name, filler=filler[:8]):
                    start = json.dumps(c.header).encode()[:-1] + b', "a": ['
                    text = start + filler * (size // len(filler)) + b"0]}"
                    (self.dir / "bomb").write_bytes(c.bytes(text))
                    self.limited(BAD_INPUT, *verb, words=["bomb"])

    @unittest.skipIf(harness.SANITIZED, "sanitizers reserve more address space")
    def test_models(self):
        def save(op):
            nodes, last = [], "x"
            for k in range(10000):
                nodes.append(helper.make_node(op, [last], [f"v{k}"]))
                last = f"v{k}"
            nodes += [helper.make_node("GlobalAveragePool", [last], ["g"]), helper.make_node("Flatten", ["g"], ["f"]),
                      helper.make_node("Gemm", ["f", "w"], ["y"], transB=1)]
            weights = numpy_helper.from_array(np.ones((2, 3), np.float32), "w")
            graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 188, 188])],
                                      [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])], [weights])
            onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), self.dir / "bomb.onnx")

        save("Neg")
        self.limited(BAD_INPUT, "plan", "bomb.onnx", words=["2^28"])


class Decoding(PreparedCase):
    """Pictures are decoded by a process that may do nothing else. Here another program stands in its place."""

    def test_what_is_said_when_it_dies(self):
        folder = self.dir / "programs"
        folder.mkdir()
        shutil.copy(harness.SOTTO, folder)
        encrypt = ["encrypt", "net.client", "--keys", "keys", "--data", "images", "--out", "x"]
        decoder = folder / "sotto-decode"

        def refused(code, *words):
            self.assert_refused(code, *encrypt, program=folder / "sotto", words=words)

        refused(INTERNAL, "cannot start", "sotto-decode", "no such file")
        # Says that it is there and dies of the first picture.
        for death, words in (("os.kill(os.getpid(), 9)", ["signal 9"]), ("os._exit(3)", ["exit code 3"]), ("os.write(1, bytes(64))", ["no sense"])):
            decoder.write_text(f"#!/usr/bin/python3\nimport os\nos.write(1, {harness.DECODER_HELLO})\nos.read(0, 1)\n{death}\n")
            decoder.chmod(0o755)
            with self.subTest(death):
                refused(BAD_INPUT, "images/cat/0000.png", *words)
        decoder.write_text("#!/bin/sh\nexit 0\n")
        refused(INTERNAL, "cannot start", "sotto-decode")

    def test_it_may_do_nothing_else(self):
        if shutil.which("strace") is None or subprocess.run(["strace", "-f", "-qq", "true"], capture_output=True).returncode != 0:
            self.skipTest("no strace on this machine, or no right to trace")
        if harness.SANITIZED:
            self.skipTest("sanitizers make system calls of their own")
        trace = self.dir / "trace"
        p = subprocess.run(["strace", "-f", "-ff", "-o", str(trace), str(harness.SOTTO), "encrypt", "net.client", "--keys", "keys", "--data", "images", "--out", "traced.sotto"],
                           cwd=self.dir, capture_output=True, text=True)
        self.assertEqual(p.returncode, OK, p.stderr)
        traces = [path.read_text() for path in self.dir.glob("trace.*")]
        decoders = [t for t in traces if "seccomp(SECCOMP_SET_MODE_FILTER" in t]
        self.assertEqual(len(decoders), 1, "one process decodes all pictures, behind a filter")
        # What libseccomp tries out comes before.
        after = decoders[0].rsplit("seccomp(SECCOMP_SET_MODE_FILTER", 1)[1].splitlines()[1:]
        calls = {line.split("(")[0] for line in after if not line.startswith(("+++", "---"))}
        self.assertIn("read", calls)
        self.assertLessEqual(calls, {"read", "write", "mmap", "munmap", "mremap", "brk", "madvise", "exit_group"})
        opened = [line for t in traces for line in t.splitlines() if line.startswith("openat(")]
        self.assertTrue(any(".png" in line for line in opened))
        owner = next(t for t in traces if any("secret.key" in line for line in t.splitlines() if line.startswith("openat(")))
        places = [k for k, line in enumerate(owner.splitlines()) if line.startswith("openat(") and ".png" in line]
        key = next(k for k, line in enumerate(owner.splitlines()) if line.startswith("openat(") and "secret.key" in line)
        self.assertGreater(key, max(places), "the key was read before the last picture")

    def test_links_no_decoders(self):
        if shutil.which("readelf") is None:
            self.skipTest("no readelf on this machine")
        def libraries(program):
            return subprocess.run(["readelf", "-dW", str(program)], capture_output=True, text=True).stdout
        self.assertIn("libpng", libraries(harness.DECODER), "the test sees nothing at all")
        for program in (harness.SOTTO, harness.SERVER):
            self.assertIn("libc.so", libraries(program))
            for library in ("libpng", "libjpeg", "libseccomp"):
                self.assertNotIn(library, libraries(program), program)
        for library in ("libsodium", "libtbb", "libonnx", "libprotobuf"):
            self.assertNotIn(library, libraries(harness.DECODER))


class Programs(PreparedCase):
    def test_hardened(self):
        if shutil.which("readelf") is None or os.environ.get("SOTTO_HARDEN") == "0":
            self.skipTest("no readelf on this machine, or a build without SOTTO_HARDEN")
        for program in (harness.SOTTO, harness.SERVER, harness.DECODER):
            with self.subTest(program.name):
                def read(*options):
                    return subprocess.run(["readelf", *options, str(program)], capture_output=True, text=True).stdout
                self.assertRegex(read("-hW"), r"Type:\s+DYN")
                self.assertIn("GNU_RELRO", read("-lW"))
                self.assertRegex(read("-dW"), r"BIND_NOW|NOW")
                self.assertIn("PIE", read("-dW"))
                self.assertRegex(read("-lW"), r"GNU_STACK.* RW ")
                if harness.SANITIZED:
                    continue
                symbols = read("--dyn-syms", "-W")
                self.assertIn("__stack_chk_fail", symbols)
                self.assertRegex(symbols, r"__\w+_chk@", "FORTIFY_SOURCE")

    def test_memory_is_kept_from_others(self):
        p = subprocess.Popen([str(harness.SOTTO), "keygen", "net.client", "--out", "watched"], cwd=self.dir, stdout=subprocess.DEVNULL,
                             preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE)[1:] * 2))
        locked, limits = 0, ""
        while p.poll() is None:
            try:
                status = Path(f"/proc/{p.pid}/status").read_text()
                locked = max(locked, int(status.split("VmLck:")[1].split()[0]))
                limits = next(line for line in Path(f"/proc/{p.pid}/limits").read_text().splitlines() if line.startswith("Max core"))
            except (OSError, IndexError):
                pass
            time.sleep(0.001)
        self.assertEqual(p.returncode, OK)
        self.assertGreater(locked, 0, "no page was locked")
        self.assertEqual(limits.split()[4], "0", limits)

    def test_closed_descriptors_are_filled(self):
        """A file of ours must not become the standard error, into which messages go."""
        if os.geteuid() != 0:
            self.skipTest("only root sees the files of a process that may not be looked at")
        p = subprocess.Popen([str(harness.SOTTO), "keygen", "net.client", "--out", "unheard"], cwd=self.dir,
                             preexec_fn=lambda: [os.close(fd) for fd in (0, 1, 2)])
        seen = {0: set(), 1: set(), 2: set()}
        while p.poll() is None:
            for fd, names in seen.items():
                try:
                    if os.readlink(f"/proc/{p.pid}/exe") == str(harness.SOTTO.resolve()):
                        names.add(os.readlink(f"/proc/{p.pid}/fd/{fd}"))
                except OSError:  # not yet, or not any more
                    pass
        for fd, names in seen.items():
            # Before `main`, the loader has the libraries that it maps there.
            self.assertIn("/dev/null", names, fd)
            self.assertEqual({name for name in names if name.startswith(str(self.dir.resolve()))}, set(), fd)

    def test_nobody_may_look_into_memory(self):
        """The kernel gives a process that may not be looked at to root, in /proc. Root itself sees no difference, so it becomes another user."""
        user, folder = os.getuid() or 65534, self.dir / "open"
        folder.mkdir()
        shutil.copy(self.dir / "net.client", folder)
        for path in (self.dir, folder, folder / "net.client"):
            path.chmod(0o777)
        drop = None if os.getuid() else lambda: (os.setgid(user), os.setuid(user))
        try:
            p = subprocess.Popen([str(harness.SOTTO), "keygen", "net.client", "--out", "keys"], cwd=folder, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, preexec_fn=drop)
        except PermissionError:
            self.skipTest("another user cannot start the program here")
        owners = []
        while p.poll() is None:
            try:
                owners.append(Path(f"/proc/{p.pid}/maps").stat().st_uid)
            except OSError:
                pass
            time.sleep(0.001)
        self.assertEqual(p.returncode, OK)
        # Most of the time: at its beginning and end any process is root's for a moment.
        self.assertGreater(owners.count(0), len(owners) / 2, "its memory could be read by others of the same user")


if __name__ == "__main__":
    harness.main()
