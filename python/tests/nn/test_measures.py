"""Ranges, simulated noise, ONNX export and model cards."""
import argparse
import dataclasses
import importlib.util
import json
import pathlib
import shlex
import tempfile
import threading
import unittest

import torch

import support
from sotto.nn import checkpoint, config, models, noise, ranges
from sotto.nn.activation import A, B, activations
from sotto.nn.augment import normalise
from sotto.nn.card import make_card, training_command, write_card
from sotto.nn.checkpoint import Trained
from sotto.nn.parallel import Pool

CPU = torch.device("cpu")


class RangeReport(unittest.TestCase):
    def test_finds_the_largest_and_the_tail(self):
        net = models.build("mlp", "quadratic", 3, 2, (8, 8)).eval()
        first, second = activations(net)
        for act in (first, second):  # constant pre-activations: channel k of the first gives k / 8
            act.norm.weight.data.zero_()
        first.norm.bias.data.copy_(torch.arange(128) / 8)
        second.norm.bias.data.fill_(-2.5)
        net.head[-1].weight.data.zero_()
        net.head[-1].bias.data.copy_(torch.tensor([1.0, -32.0]))
        d = support.stripes_data()
        report = ranges.measure("test", net, d.test, d.meta, Pool(2), CPU, limit=127.0)
        self.assertEqual([layer.name for layer in report.layers], ["head.1", "head.3"])
        self.assertEqual([layer.largest for layer in report.layers], [127 / 8, 2.5])
        self.assertEqual((report.largest_score, report.score_margin()), (32.0, 16.0))
        self.assertAlmostEqual(report.margin(), 8.0)
        self.assertEqual(report.layers[1].tail, 2.5)
        self.assertEqual((report.images, report.beyond), (32, 0))

    def test_counts_images_beyond_the_limits(self):
        net, d = support.constructed(), support.stripes_data()
        with torch.no_grad():
            scores = net(normalise(d.test.images, d.meta)).abs().max(1).values
        net.head[-1].weight.data *= ranges.SCORE_LIMIT / scores.sort().values[-6]
        net.head[-1].bias.data *= ranges.SCORE_LIMIT / scores.sort().values[-6]
        self.assertIn(ranges.measure("test", net, d.test, d.meta, Pool(2), CPU).beyond, (5, 6))
        net.head[0].weight.data[0] = float("nan")
        broken = ranges.measure("test", net, d.test, d.meta, Pool(2), CPU)
        self.assertEqual((broken.beyond, broken.margin(), broken.score_margin()), (32, 0.0, 0.0))

    def test_tail_leaves_out_one_in_ten_thousand(self):
        current = threading.local()
        current.images = []
        meter = ranges._Meter(torch.nn.Identity(), current)
        values = torch.full((10, 10000), 1.0)
        values[0, :9], values[3, 9] = 90.0, 500.0
        meter._observe(None, (values,), values)
        self.assertEqual(meter.largest, 500.0)
        self.assertEqual(current.images[0].tolist(), [90.0, 1, 1, 500.0] + [1] * 6)
        self.assertAlmostEqual(meter.tail(1e-4), 1.0, delta=2 / 64)
        self.assertAlmostEqual(meter.tail(0.5e-4), 90.0, delta=2 / 64)


class SimulatedNoise(unittest.TestCase):
    def test_no_noise_changes_nothing_and_more_noise_more(self):
        d, net = support.stripes_data(), support.constructed()
        errors = []
        for bits in (60, 11, 8):
            p = noise.simulate(net, d.test, d.meta, noise.Noise(bits, 3.3, bits), 2, 0)
            errors.append(p.rms_logit_error)
        self.assertLess(errors[0], 1e-6)
        self.assertGreater(errors[1], 1e-4)
        self.assertGreater(errors[2], 4 * errors[1])
        self.assertEqual(noise.simulate(net, d.test, d.meta, noise.Noise(60, 3.3, 60), 1, 0).label_agreement, 1.0)

    def test_counts_overflows(self):
        d, net = support.stripes_data(), support.constructed()
        net.head[1].norm.weight.data *= 1e30
        p = noise.simulate(net, d.test, d.meta, noise.Noise(), 1, 0)
        self.assertEqual((p.overflows, p.label_agreement, p.rms_logit_error), (32, 0.0, 0.0))

    def test_weight_errors_multiply_the_square(self):
        net = support.constructed(arch="resnet20")
        torch.manual_seed(0)
        twin = noise.disturbed(net, noise.Noise(weight_bits=6, activation_bits=80))
        plain, disturbed = net.blocks[0].conv1, twin.blocks[0].conv1
        y = torch.rand(1, 16, 8, 8)
        square = y / A + (B / (2 * A)) ** 2
        error = disturbed.weight - plain.weight
        expected = plain(y) + torch.nn.functional.conv2d(square * A, error, padding=1)
        torch.testing.assert_close(disturbed(y), expected, rtol=1e-4, atol=1e-5)

    def test_relative_to_the_folded_weights(self):
        net = support.constructed(arch="resnet20")
        torch.manual_seed(0)
        twin = noise.disturbed(net, noise.Noise(weight_bits=8, weight_error=2.0))
        block, other = net.blocks[3], twin.blocks[3]
        factor = (block.act2.norm.weight / (block.act2.norm.running_var + 1e-5).sqrt()).view(-1, 1, 1, 1)
        error = ((other.conv2.weight - block.conv2.weight) * factor).std().item()
        self.assertAlmostEqual(error / (2 / 256 * (block.conv2.weight * factor).abs().max().item()), 1.0, delta=0.05)


@unittest.skipUnless(importlib.util.find_spec("onnx"), "onnx is not installed")
class Export(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def trained(self, arch: str, kind: str = "quadratic") -> Trained:
        size = 8 if arch == "mlp" else 32
        meta = support.stripes_data(16, size).meta
        return Trained(support.constructed(kind, arch, size), support.config("x", arch=arch, activation=kind), meta, [])

    def test_scores_and_operators_of_every_architecture(self):
        import onnx
        from sotto.nn.export import export
        for arch in ("mlp", "lenet5", "cryptonets", "mobilenet", "densenet", "resnet20x4", "vgg11", "resnet20"):
            for kind in ("quadratic", "relu"):
                with self.subTest(arch=arch, kind=kind):
                    path = self.folder / f"{arch}-{kind}.onnx"
                    difference = export(self.trained(arch, kind), path)
                    if difference is not None:
                        self.assertLess(difference, 1e-3)
                    counts = {}
                    for node in onnx.load(str(path)).graph.node:
                        counts[node.op_type] = counts.get(node.op_type, 0) + 1
                    self.assertNotIn("Cast", counts)
                    if arch == "resnet20":  # one normalisation per residual sum; all others are folded
                        self.assertEqual((counts["BatchNormalization"], counts["Conv"]), (9, 21))
                    self.assertEqual("Relu" in counts, kind == "relu")

    def test_equal_weights_need_no_further_node(self):
        import onnx
        from sotto.nn.export import export
        trained, path = self.trained("resnet20"), self.folder / "m.onnx"
        for act in activations(trained.net):
            act.norm.reset_parameters()
            act.norm.reset_running_stats()
        export(trained, path)
        self.assertNotIn("Identity", {node.op_type for node in onnx.load(str(path)).graph.node})

    def test_metadata(self):
        import onnx
        from sotto.nn.export import export
        path = self.folder / "m.onnx"
        export(self.trained("mlp"), path)
        model = onnx.load(str(path))
        found = {p.key: p.value for p in model.metadata_props}
        self.assertEqual(found["sotto.mean"], "0.4000,0.4000,0.4000")
        self.assertEqual(found["sotto.std"], "0.2500,0.2500,0.2500")
        self.assertEqual(found["sotto.classes"], "top,left")
        self.assertTrue(found["sotto.layout"].startswith("NCHW, R, G, B"))
        self.assertGreaterEqual(model.opset_import[0].version, 13)
        self.assertEqual((model.graph.input[0].name, model.graph.output[0].name), ("image", "logits"))

    def test_ranges_of_relus(self):
        import onnx
        from sotto.nn.errors import TrainError
        from sotto.nn.export import export
        trained, path = self.trained("resnet20", "relu"), self.folder / "m.onnx"
        images = support.stripes(8, 32)
        measured = ranges.measure("training", trained.net, images, trained.meta, Pool(1), CPU)
        expected = [layer.largest for layer in measured.layers]
        self.assertEqual(len(expected), 19)
        export(trained, path, [1.5 * r for r in expected])
        model = onnx.load(str(path))
        written = json.loads({p.key: p.value for p in model.metadata_props}["sotto.relu_ranges"])
        inputs = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "Relu"}
        self.assertEqual(list(written), list(inputs))
        for range_, largest in zip(written.values(), expected):
            self.assertAlmostEqual(range_ / largest, 1.5, places=4)
        if importlib.util.find_spec("onnxruntime"):  # each range belongs to the node whose name it has
            import onnxruntime
            model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in inputs.values())
            session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            x = normalise(images.images, trained.meta).contiguous().numpy()
            for range_, value in zip(written.values(), session.run(list(inputs.values()), {"image": x})):
                self.assertAlmostEqual(range_ / abs(value).max(), 1.5, places=3)
        for wrong in (expected[1:], [0.0, *expected[1:]], [float("inf"), *expected[1:]]):
            with self.assertRaises(TrainError):
                export(trained, self.folder / "wrong.onnx", wrong)
            self.assertFalse((self.folder / "wrong.onnx").exists())

    def test_command_measures_ranges_of_relus(self):
        import onnx
        support.write_cifar10(self.folder, per_file=8)
        data, out, model = str(self.folder), str(self.folder / "run"), str(self.folder / "net.onnx")
        self.assertEqual(support.command("--arch", "lenet5", "--activation", "relu", "--data", data, "--out", out,
                                         "--epochs", "1", "--batch", "8")[0], 0)
        found = []
        for options in ([], ["--data", data], ["--data", data, "--margin", "2.5"]):
            code, text, err = support.command("export", str(self.folder / "run" / "model.pt"), model, *options)
            self.assertEqual((code, err, "--data" in text), (0, "", not options))
            found.append({p.key: p.value for p in onnx.load(model).metadata_props}.get("sotto.relu_ranges"))
        self.assertIsNone(found[0])
        for narrow, wide in zip(json.loads(found[1]).values(), json.loads(found[2]).values(), strict=True):
            self.assertAlmostEqual(wide / narrow, 2, places=4)

    def test_commands_from_training_to_card(self):
        support.write_cifar10(self.folder, per_file=8)
        data, out, model = str(self.folder), str(self.folder / "run"), str(self.folder / "models" / "net.onnx")
        code, text, err = support.command("--arch", "lenet5", "--data", data, "--out", out, "--epochs", "1",
                                          "--batch", "8")
        self.assertEqual((code, err), (0, ""))
        self.assertIn("epoch 1/1", text)
        saved = str(self.folder / "run" / "model.pt")
        for argv in (["evaluate", saved], ["ranges", saved, "--json", str(self.folder / "r.json")], ["noise", saved]):
            code, text, err = support.command(*argv, "--data", data)
            self.assertEqual((code, err), (0, ""), argv)
        self.assertEqual(len(json.loads((self.folder / "r.json").read_text())[0]["layers"]), 4)
        for _ in range(2):  # the second time replaces the first
            self.assertEqual(support.command("export", saved, model)[0], 0)
            self.assertEqual(support.command("card", saved, model, "--data", data)[0], 0)
        card = json.loads((self.folder / "models" / "net.json").read_text())
        self.assertEqual(card["accuracy"]["test_images"], 8)
        self.assertEqual(card["bytes"], pathlib.Path(model).stat().st_size)
        self.assertEqual((card["parameters"], card["multiply_adds"]), (83352, 886440))
        self.assertEqual(card["training"]["command"], "python3 -m sotto.nn --data DIR --out OUT --arch lenet5 "
                         "--epochs 1 --batch 8")
        self.assertIsNone(card["relu_twin"])
        self.assertEqual((self.folder / "models" / "README.md").read_text().count("[net](net.onnx)"), 1)

    def test_the_command_of_a_card_gives_its_settings(self):
        made = support.config("", arch="vgg11", activation="relu", limits="", flip=False, lr=0.025, size=48)
        words = shlex.split(training_command(made, "a", "b,c"))
        self.assertEqual(words[:3], ["python3", "-m", "sotto.nn"])
        parser = argparse.ArgumentParser()
        config.add_arguments(parser)
        read = config.from_arguments(parser.parse_args(words[3:]))
        self.assertEqual((read.init, read.teacher), ("a.onnx", "b.onnx,c.onnx"))
        self.assertEqual(dataclasses.replace(read, data="", out="", init="", teacher="", device="cpu"), made)

    def test_a_card_names_the_relu_twin(self):
        d, folder = support.stripes_data(), self.folder / "models"
        folder.mkdir()
        for name, kind in (("b", "quadratic"), ("a", "relu"), ("c", "quadratic")):
            trained = Trained(support.constructed(kind), support.config("", activation=kind), d.meta, [])
            (folder / f"{name}.onnx").write_bytes(b"")
            sets = [ranges.Ranges(which, 10, 0, [], 1.0, 127.0) for which in ("training", "test")]
            accuracy = 0.25 if kind == "relu" else 0.5
            write_card(make_card(trained, folder / f"{name}.onnx", accuracy, 10, sets, None, None, None), folder)
        for name, twin in (("a", None), ("b", {"name": "a", "float32": 0.25}), ("c", {"name": "a", "float32": 0.25})):
            self.assertEqual(json.loads((folder / f"{name}.json").read_text())["relu_twin"], twin)
        table = (folder / "README.md").read_text()
        self.assertEqual(table.count("| 50.00 % of 10 | 25.00 % |"), 2)


class Checkpoints(unittest.TestCase):
    def test_rebuilds_the_network(self):
        from sotto.nn.trainer import Trainer
        with tempfile.TemporaryDirectory() as folder:
            d = support.stripes_data()
            trainer = Trainer(support.config(folder, epochs=1), d, lambda text: None)
            trainer.run()
            trained = checkpoint.load_network(pathlib.Path(folder, "model.pt"))
            x = normalise(d.test.images, d.meta)
            torch.testing.assert_close(trained.net(x), trainer.net.eval()(x))
            self.assertEqual(trained.meta, d.meta)


if __name__ == "__main__":
    unittest.main()
