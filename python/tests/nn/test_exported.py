"""Exported models, read back: the same function, and a start for further training."""
import importlib.util
import json
import pathlib
import tempfile
import unittest

import torch

import support
from sotto.nn.activation import activations
from sotto.nn.augment import normalise
from sotto.nn.card import make_card
from sotto.nn.checkpoint import Trained
from sotto.nn.errors import TrainError
from sotto.nn.exported import load_exported, restore_statistics
from sotto.nn.trainer import FINAL, Trainer


@unittest.skipUnless(importlib.util.find_spec("onnx"), "needs the package onnx")
class Exported(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def export(self, name: str, trained: Trained) -> pathlib.Path:
        from sotto.nn.export import export
        path = self.folder / f"{name}.onnx"
        export(trained, path)
        card = make_card(trained, path, 0.5, 10, [], None, None, None)
        path.with_suffix(".json").write_text(json.dumps(card))
        return path

    def constructed(self, arch: str, kind: str, size: int) -> tuple[Trained, pathlib.Path]:
        data = support.stripes_data(size=size)
        config = support.config("", arch=arch, activation=kind)
        trained = Trained(support.constructed(kind, arch, size), config, data.meta, [])
        return trained, self.export(f"{arch}-{kind}", trained)

    def test_every_kind_of_network_comes_back(self):
        for arch, size in (("mlp", 8), ("lenet5", 16), ("cryptonets", 8), ("resnet20", 8), ("vgg11", 32),
                           ("mobilenet", 8), ("densenet", 8)):
            for kind in ("quadratic", "relu"):
                with self.subTest(arch=arch, kind=kind):
                    trained, path = self.constructed(arch, kind, size)
                    back = load_exported(path)
                    self.assertEqual((back.config.arch, back.config.activation), (arch, kind))
                    self.assertEqual(back.meta, trained.meta)
                    images = support.stripes(16, size, seed=3).images
                    x = normalise(images, trained.meta)
                    with torch.no_grad():
                        expected = trained.net(x)
                        tolerance = {"rtol": 1e-3, "atol": 1e-3 * expected.abs().max().item()}
                        torch.testing.assert_close(back.net(x), expected, **tolerance)
                        restore_statistics(back.net, images, trained.meta)
                        torch.testing.assert_close(back.net(x), expected, **tolerance)
                        # The statistics are those of these images: normalising by the batch changes nothing.
                        for act in activations(back.net):
                            act.norm.train()
                        unbiased = {"rtol": 0.1, "atol": 0.1 * expected.abs().max().item()}
                        torch.testing.assert_close(back.net(x), expected, **unbiased)

    def test_training_goes_on_from_a_model_and_learns_from_several(self):
        data = support.stripes_data()
        first = Trainer(support.config(str(self.folder / "first"), epochs=12), data, lambda text: None)
        first.run()
        path = self.export("first", Trained(first.net, first.config, data.meta, []))
        teachers = f"{path},{self.folder / 'first' / FINAL}"
        second = Trainer(support.config(str(self.folder / "second"), init=str(path), teacher=teachers, epochs=1,
                                        lr=1e-9, teacher_weight=1.0), data, lambda text: None)
        x = normalise(data.test.images, data.meta)
        with torch.no_grad():
            mean = sum(net(x) for net in second.teachers.nets) / 2
            torch.testing.assert_close(mean, first.net.eval()(x), rtol=1e-3, atol=1e-3)
        history = second.run()
        self.assertAlmostEqual(history[-1]["final_accuracy"], first.history[-1]["final_accuracy"], delta=0.1)
        self.assertLess(history[-1]["loss"], 0.5)

    def test_refuses_what_is_not_such_a_model(self):
        _, path = self.constructed("mlp", "relu", 8)
        card_path, whole = path.with_suffix(".json"), path.read_bytes()
        card = json.loads(card_path.read_text())
        training = card["training"]
        for change, message in (({"training": training | {"arch": "lenet5"}}, "exported as lenet5"),
                                ({"training": training | {"arch": "resnet21"}}, "not the card of a model"),
                                ({"training": []}, "not the card of a model"),
                                ({"training": training | {"lr": "x"}}, "not the card of a model"),
                                ({"sha256": "0" * 64}, "card of another model"), ({"input": None}, "not the card")):
            card_path.write_text(json.dumps(card | change | ({"input": {"shape": ["batch", 3, 16, 16]}}
                                                             if "lenet5" in message else {})))
            with self.assertRaisesRegex(TrainError, message):
                load_exported(path)
        for text in ("{}", "[]", "", "{"):
            card_path.write_text(text)
            with self.assertRaisesRegex(TrainError, "not the card of a model"):
                load_exported(path)
        card_path.write_text(json.dumps(card))
        path.write_bytes(whole[:len(whole) // 2])
        with self.assertRaisesRegex(TrainError, "or the model is damaged"):
            load_exported(path)
        card_path.unlink()
        with self.assertRaisesRegex(TrainError, "comes with its card"):
            load_exported(path)
        path.unlink()
        with self.assertRaisesRegex(TrainError, "there is no such file"):
            load_exported(path)

    def test_a_training_goes_on_without_the_start_but_with_its_teachers(self):
        _, path = self.constructed("mlp", "quadratic", 8)
        data, settings = support.stripes_data(), {"init": str(path), "teacher": str(path), "epochs": 2}
        out = str(self.folder / "run")
        Trainer(support.config(out, **settings), data, lambda text: None).run(stop_after=1)
        kept = self.folder / "kept.onnx"
        path.rename(kept)
        path.with_suffix(".json").rename(kept.with_suffix(".json"))
        with self.assertRaisesRegex(TrainError, "made with 1 teachers, not 2"):
            Trainer(support.config(out, **settings | {"teacher": f"{kept}, {kept}"}), data, lambda text: None).resume()
        trainer = Trainer(support.config(out, **settings | {"teacher": str(kept)}), data, lambda text: None)
        self.assertTrue(trainer.resume())
        self.assertEqual(len(trainer.run()), 2)


if __name__ == "__main__":
    unittest.main()
