"""Training: learning, continuing with the same numbers, distillation, schedules, settings and messages."""
import pathlib
import tempfile
import unittest
from unittest import mock

import torch

import support
from sotto.nn import checkpoint, config, models
from sotto.nn.activation import Activation
from sotto.nn.errors import TrainError
from sotto.nn.loss import mean_scores, training_loss
from sotto.nn.schedule import activation_limit, one_cycle
from sotto.nn.teachers import Teachers
from sotto.nn.trainer import FINAL, LAST, Trainer


def quiet(text: str) -> None:
    del text


class Training(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def train(self, name: str, stop_after=None, **changes) -> Trainer:
        trainer = Trainer(support.config(str(self.folder / name), **changes), support.stripes_data(), quiet)
        trainer.resume()
        trainer.run(stop_after)
        return trainer

    def test_continues_with_the_same_numbers(self):
        for arch in ("mlp", "resnet20"):
            with self.subTest(arch):
                size = {"arch": arch, "epochs": 3}
                straight = self.train(f"{arch}-a", **size)
                self.train(f"{arch}-b", stop_after=1, **size)
                self.assertFalse((self.folder / f"{arch}-b" / FINAL).exists())
                resumed = self.train(f"{arch}-b", **size)
                for key, value in straight.net.state_dict().items():
                    self.assertTrue(torch.equal(value, resumed.net.state_dict()[key]), key)
                for a, b in zip(straight.history, resumed.history, strict=True):
                    self.assertEqual((a["loss"], a["accuracy"]), (b["loss"], b["accuracy"]))

    def test_learns_and_is_seeded(self):
        a, b = self.train("a", epochs=12), self.train("b", epochs=12)
        self.assertGreater(a.history[-1]["final_accuracy"], 0.9)
        self.assertEqual(a.history[-1]["loss"], b.history[-1]["loss"])
        self.assertNotEqual(a.history[-1]["loss"], self.train("c", epochs=12, seed=1).history[-1]["loss"])

    def test_an_interrupted_write_leaves_the_checkpoint_whole(self):
        self.train("a", stop_after=1)
        with mock.patch("torch.save", side_effect=OSError("disk full")), self.assertRaises(OSError):
            self.train("a", stop_after=2)
        self.assertEqual(len(checkpoint.load(self.folder / "a" / LAST)["history"]), 1)

    def test_refuses_other_settings_and_damaged_checkpoints(self):
        self.train("a", stop_after=1)
        with self.assertRaisesRegex(TrainError, "made with lr = 0.05, not 0.1"):
            self.train("a", lr=0.1)
        path = self.folder / "a" / LAST
        path.write_bytes(path.read_bytes()[:1000])
        with self.assertRaisesRegex(TrainError, "not a checkpoint, or damaged"):
            self.train("a")

    def test_learns_from_a_teacher(self):
        self.train("teacher", activation="relu", epochs=12)
        teacher = str(self.folder / "teacher" / FINAL)
        student = self.train("student", teacher=teacher, teacher_weight=1.0, epochs=12)
        self.assertGreater(student.history[-1]["final_accuracy"], 0.9)
        with self.assertRaisesRegex(TrainError, "held-out"):
            self.train("other", teacher=teacher, holdout=16)

    def test_views_ask_the_teacher_once(self):
        self.train("teacher", activation="relu", epochs=12)
        size = {"teacher": str(self.folder / "teacher" / FINAL), "views": 2, "mirrored": True, "epochs": 5}
        with mock.patch.object(Teachers, "_ask", autospec=True, side_effect=Teachers._ask) as ask:
            straight = self.train("a", **size)
        self.assertEqual(sum(len(call.args[1]) for call in ask.call_args_list), 2 * 64)
        self.train("b", stop_after=3, **size)
        resumed = self.train("b", **size)
        for a, b in zip(straight.history, resumed.history, strict=True):
            self.assertEqual((a["loss"], a["accuracy"]), (b["loss"], b["accuracy"]))

    def test_starts_from_a_trained_network(self):
        first = self.train("first", epochs=12)
        start = str(self.folder / "first" / FINAL)
        second = self.train("second", init=start, epochs=1, lr=1e-9)
        for a, b in zip(first.parameters, second.parameters, strict=True):
            torch.testing.assert_close(a, b)
        with self.assertRaisesRegex(TrainError, "of another kind"):
            self.train("third", init=start, activation="relu")
        with self.assertRaisesRegex(TrainError, "held-out"):
            self.train("fourth", init=start, holdout=16)

    def test_holdout_keeps_the_test_set_out(self):
        trainer = self.train("a", holdout=16, epochs=1)
        self.assertEqual((len(trainer.augmenter.labels), len(trainer.test), trainer.test_name), (48, 16, "holdout"))

    def test_says_when_it_diverges(self):
        with mock.patch("sotto.nn.step.training_loss", lambda s, *_: s.sum() * float("nan")):
            with self.assertRaisesRegex(TrainError, "diverged in epoch 1"):
                self.train("a")
        self.assertFalse((self.folder / "a" / LAST).exists())

    def test_keeps_no_weights_of_a_step_that_diverged(self):
        # The loss of the last step is taken before its update.
        trainer = Trainer(support.config(str(self.folder / "a")), support.stripes_data(), quiet)
        step, calls = trainer._step, []

        def spoils_the_last(*args):
            result = step(*args)
            calls.append(None)
            if len(calls) == trainer.steps:
                trainer.parameters[0].data.flatten()[0] = float("nan")
            return result
        with mock.patch.object(trainer, "_step", spoils_the_last):
            with self.assertRaisesRegex(TrainError, "diverged in epoch 1"):
                trainer.run()
        self.assertFalse((self.folder / "a" / LAST).exists())

    def test_replicas_share_weights_but_not_statistics(self):
        trainer = self.train("a", stop_after=1)
        first, second = trainer.replicas
        for a, b in zip(first.parameters(), second.parameters(), strict=True):
            self.assertIs(a, b)
        for a, b in zip(first.buffers(), second.buffers(), strict=True):
            self.assertIsNot(a, b)
            self.assertTrue(torch.equal(a, b))


class Teaching(unittest.TestCase):
    def setUp(self):
        self.images = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))

    @staticmethod
    def corner(images: torch.Tensor) -> torch.Tensor:
        """A network whose scores are the first pixel of each channel; it tells an image from its mirror image."""
        return images[:, :, 0, 0]

    def test_means_over_networks_and_mirror_images(self):
        nets = [self.corner, lambda x: 3 * self.corner(x)]
        index, device = torch.arange(6), torch.device("cpu")
        plain = Teachers(nets, 6, 3, 0, False, device).scores(self.images, index, None)
        torch.testing.assert_close(plain, 2 * self.images[:, :, 0, 0])
        both = Teachers(nets, 6, 3, 0, True, device).scores(self.images, index, None)
        torch.testing.assert_close(both, self.images[:, :, 0, 0] + self.images[:, :, 0, 3])

    def test_remembers_each_image_of_each_view(self):
        teachers = Teachers([self.corner], 6, 3, 2, False, torch.device("cpu"))
        expected = self.corner(self.images)
        teachers.scores(self.images[:4], torch.arange(4), 0)
        mixed = teachers.scores(torch.zeros_like(self.images), torch.arange(6), 0)
        torch.testing.assert_close(mixed[:4], expected[:4])
        self.assertEqual(mixed[4:].abs().max(), 0)
        torch.testing.assert_close(teachers.scores(self.images.flip(0), torch.arange(5, -1, -1), 1), expected.flip(0))
        torch.testing.assert_close(teachers.scores(self.images * 0, torch.arange(6), 1), expected)

    def test_says_when_no_score_is_finite(self):
        teachers = Teachers([lambda x: self.corner(x) * float("inf")], 6, 3, 1, False, torch.device("cpu"))
        for view in (None, 0):
            self.assertFalse(teachers.scores(self.images, torch.arange(6), view).isfinite().any())
            with self.assertRaisesRegex(TrainError, "not finite"):
                teachers.check()

    def test_single_images_may_go_untaught(self):
        self.images[5] = float("inf")
        teachers = Teachers([lambda x: self.corner(x) * 0], 6, 3, 1, False, torch.device("cpu"))
        self.assertTrue(teachers.scores(self.images[:5], torch.arange(5), 0).isfinite().all())
        self.assertTrue(teachers.scores(self.images[5:], torch.arange(5, 6), 0).isnan().all())
        teachers.check()


class Loss(unittest.TestCase):
    def test_distillation(self):
        g = torch.Generator().manual_seed(0)
        scores, teacher, labels = torch.randn(6, 5, generator=g), torch.randn(6, 5, generator=g), torch.arange(6) % 5
        hard = torch.nn.functional.cross_entropy(scores, labels)
        torch.testing.assert_close(training_loss(scores, labels, 0.0), hard)
        p, q = (teacher / 3).softmax(1), (scores / 3).softmax(1)
        soft = (p * (p.log() - q.log())).sum(1).mean()
        torch.testing.assert_close(training_loss(scores, labels, 0.0, teacher, 3.0, 0.7), 0.3 * hard + 0.7 * 9 * soft)
        self.assertAlmostEqual(training_loss(teacher, labels, 0.0, teacher, 3.0, 1.0).item(), 0.0, places=6)

    def test_teachers_that_overflow_are_not_asked(self):
        nan, inf = float("nan"), float("inf")
        first = torch.tensor([[1.0, 2.0], [inf, 0.0], [nan, nan]])
        second = torch.tensor([[3.0, 0.0], [5.0, 6.0], [-inf, 1.0]])
        mean = mean_scores([first, second])
        torch.testing.assert_close(mean, torch.tensor([[2.0, 1.0], [5.0, 6.0], [nan, nan]]), equal_nan=True)
        scores = torch.tensor([[0.5, 1.0], [1.0, 0.0], [2.0, 1.0]], requires_grad=True)
        loss = training_loss(scores, torch.tensor([0, 1, 1]), 0.0, mean, 2.0, 1.0)
        (gradient,) = torch.autograd.grad(loss, scores)
        self.assertTrue(gradient.isfinite().all())
        self.assertLess(gradient[2].abs().max(), 1e-6)
        self.assertGreater(gradient[:2].abs().min(), 1e-3)


class Schedules(unittest.TestCase):
    def test_one_cycle(self):
        for progress, rate, momentum in ((0, 0.01, 0.95), (0.15, 0.2, 0.85), (1, 0.0001, 0.95)):
            self.assertAlmostEqual(one_cycle(progress, 0.2, 0.15)[0], rate)
            self.assertAlmostEqual(one_cycle(progress, 0.2, 0.15)[1], momentum)
        self.assertAlmostEqual(one_cycle(0, 0.2, 0.0)[0], 0.2)

    def test_limits(self):
        steps = config.parse_limits("3:0.4,5:0.6")
        self.assertEqual([activation_limit(p, steps) for p in (0, 0.39, 0.4, 0.6, 1)], [3, 3, 5, 1e4, 1e4])
        self.assertEqual(activation_limit(0, config.parse_limits("")), Activation.NO_LIMIT)
        for text in ("3", "3:0.5,5:0.4", "-1:0.5", "3:2", "a:b"):
            with self.assertRaises(TrainError):
                config.parse_limits(text)


class Networks(unittest.TestCase):
    def test_every_architecture_gives_scores(self):
        for arch in models.ARCHITECTURES:
            for activation in ("relu", "quadratic"):
                with self.subTest(arch=arch, activation=activation):
                    net = models.build(arch, activation, 1, 7, (32, 32)).eval()
                    self.assertEqual(net(torch.zeros(2, 1, 32, 32)).shape, (2, 7))

    def test_sizes_of_the_published_networks(self):
        def count(arch, classes):
            net = models.build(arch, "quadratic", 3, classes, (32, 32))
            return sum(m.weight.numel() for m in net.modules() if isinstance(m, torch.nn.Conv2d)), len(
                [m for m in net.modules() if isinstance(m, Activation)])
        self.assertEqual(count("resnet20", 10), (270256, 19))
        self.assertEqual([count(f"resnet{n}", 10)[1] for n in (32, 44, 56, 110)], [31, 43, 55, 109])
        self.assertEqual(count("resnet34", 100)[1], 33)
        self.assertEqual(count("vgg11", 10)[1], 8)
        self.assertEqual(count("resnet20x4", 10), (4318912, 19))
        self.assertEqual(count("resnet20x2", 10), (1080160, 19))

    def test_unknown_or_too_small(self):
        for arch, activation, size, message in (("resnet21", "relu", 32, "architecture"), ("mlp", "gelu", 32, "activ"),
                                                ("vgg11", "relu", 31, "32 x 32")):
            with self.assertRaisesRegex(TrainError, message):
                models.build(arch, activation, 3, 10, (size, size))


class CommandLine(unittest.TestCase):
    def test_settings_come_from_file_and_options(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "c.toml")
            file.write_text('arch = "mlp"\nlr = 1\nflip = false\nepochs = 7\n')
            parser = __import__("argparse").ArgumentParser()
            config.add_arguments(parser)
            c = config.from_arguments(parser.parse_args(["--config", str(file), "--epochs", "9"]))
            self.assertEqual((c.arch, c.lr, c.flip, c.epochs, c.batch), ("mlp", 1.0, False, 9, 256))
            for text, message in (("lr = 'x'", "lr must be of type float"), ("speed = 1", "unknown setting 'speed'"),
                                  ("epochs = 0", "epochs must be between"), ("[", "c.toml")):
                file.write_text(text)
                code, _, err = support.command("--config", str(file))
                self.assertEqual((code, err.count("\n")), (3, 1))
                self.assertIn(message, err)

    def test_shipped_configs_are_valid(self):
        files = sorted(config.CONFIGS.glob("*.toml"))
        self.assertIn("resnet20-cifar10", [file.stem for file in files])
        for file in files:
            with self.subTest(file.name):
                code, _, err = support.command("--config", file.stem, "--data", "/nowhere", "--out", "x")
                self.assertEqual(code, 3)
                self.assertIn("/nowhere: there is no", err)

    def test_problems_are_one_line(self):
        for argv in (["--dataset", "cifar10", "--out", "x"], ["evaluate", "/nowhere.pt", "--data", "x"],
                     ["export", "/nowhere.pt", "x.onnx"], ["--config", "/nowhere.toml"]):
            code, out, err = support.command(*argv)
            self.assertEqual((code, out, err.count("\n")), (3, "", 1))


if __name__ == "__main__":
    unittest.main()
