"""Trained weights in modules of PyTorch: in evaluation mode they are the network that `save` writes."""
from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import sotto
import torch
from sotto._export import export
from torch import nn
from torch_networks import Square

SPEC = {"steps": 2, "batch": 16, "rate": 0.1}
SEEN = 1e-3  # what training moves scores by, at least
TOLERANCE = 1e-5


def data(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    return random.normal(0, 0.5, (16, *shape)).astype(np.float32), random.integers(0, 3, 16)


def scores(module: nn.Module, images: np.ndarray) -> np.ndarray:
    module.eval()
    with torch.no_grad():
        return module(torch.from_numpy(images)).numpy()


def saved_scores(result: sotto.TrainingResult, images: np.ndarray, tmp_path) -> np.ndarray:
    """Of the file, by ONNX Runtime."""
    onnxruntime = pytest.importorskip("onnxruntime")
    result.save(tmp_path / "trained.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "trained.onnx")
    return session.run(None, {session.get_inputs()[0].name: images})[0]


def compiled(network: nn.Module, shape: tuple[int, ...], **spec: object) -> sotto.TrainingPlan:
    return sotto.compile_training(network, {**SPEC, **spec}, input_shape=shape, mean=0, std=1)


def loaded(network: nn.Module, shape: tuple[int, ...], tmp_path, **spec: object) -> nn.Module:
    """A copy with trained weights, which scores as the saved network does."""
    network.eval()
    images, labels = data(shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error", sotto.SottoWarning)
        warnings.filterwarnings("ignore", ".* in front of what is trained")
        result = compiled(network, shape, **spec).simulate(images, labels)
    copied = copy.deepcopy(network)
    result.load_into(copied)
    wanted = saved_scores(result, images, tmp_path)
    assert np.abs(scores(network, images) - wanted).max() > SEEN, "training moved nothing that the test would see"
    assert np.abs(scores(copied, images) - wanted).max() < TOLERANCE * max(1, np.abs(wanted).max())
    return copied


def norm(channels: int, **options: object) -> nn.BatchNorm2d:
    """A batch normalisation that does something."""
    random, made = torch.Generator().manual_seed(channels), nn.BatchNorm2d(channels, **options)
    made.running_mean.uniform_(-0.5, 0.5, generator=random)
    made.running_var.uniform_(0.5, 3, generator=random)
    if made.affine:
        nn.init.uniform_(made.weight, 0.5, 2, generator=random)
        nn.init.uniform_(made.bias, -0.5, 0.5, generator=random)
    return made


def behind(*first: nn.Module, features: int = 32) -> nn.Module:
    """Layers for images of 1 x 8 x 8, the rest behind them."""
    torch.manual_seed(2)
    return nn.Sequential(*first, Square(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(features, 3))


def conv(bias: bool = True, **options: object) -> nn.Conv2d:
    torch.manual_seed(3)
    return nn.Conv2d(1, 2, 3, bias=bias, **{"padding": 1, **options})


IMAGE = (1, 8, 8)


@pytest.mark.parametrize("bias", [True, False])
def test_a_batch_normalisation_behind_a_convolution(bias, tmp_path):
    network = behind(conv(bias), norm(2))
    made = loaded(network, IMAGE, tmp_path)
    assert made.state_dict().keys() == network.state_dict().keys()
    for name in ("running_mean", "running_var", "weight"):  # for whoever goes on
        assert torch.equal(getattr(made[1], name), getattr(network[1], name))
    assert not torch.equal(made[1].bias, network[1].bias)
    assert made.state_dict()["0.weight"].shape == (2, 1, 3, 3)


@pytest.mark.parametrize("bias", [True, False])
def test_a_batch_normalisation_without_weights(bias, tmp_path):
    made = loaded(behind(conv(bias), norm(2, affine=False)), IMAGE, tmp_path)
    assert isinstance(made[0].bias, nn.Parameter) and made[0].bias.requires_grad


def test_several_batch_normalisations_and_what_does_nothing(tmp_path):
    loaded(behind(conv(), norm(2), nn.Dropout(), nn.Identity(), norm(2, affine=False)), IMAGE, tmp_path)


def test_batch_normalisations_behind_nothing_that_is_trained(tmp_path):
    loaded(nn.Sequential(norm(1), nn.Dropout(), norm(1), nn.Conv2d(1, 2, 3, padding=1), Square(), nn.AvgPool2d(2), nn.Flatten(),
                         nn.Linear(32, 3)), (1, 8, 8), tmp_path)


def test_a_batch_normalisation_in_front(tmp_path):
    network = behind(norm(1), conv(), norm(2))
    made = loaded(network, IMAGE, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(made[0].state_dict().values(), network[0].state_dict().values()))


def test_a_batch_normalisation_of_two_layers(tmp_path):
    both = norm(2)
    torch.manual_seed(4)
    network = nn.Sequential(conv(), both, Square(), nn.Conv2d(2, 2, 3, bias=False), both, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                            nn.Linear(2, 3))
    made = loaded(network, IMAGE, tmp_path)
    assert torch.equal(made[1].bias, both.bias) and made[3].bias is not None


def test_a_batch_normalisation_that_multiplies_by_zero(tmp_path):
    network = behind(conv(), norm(2))
    with torch.no_grad():
        network[1].weight[0] = 0
    made = loaded(network, IMAGE, tmp_path)
    assert made[1].weight[0] == 1 and made[1].weight[1] == network[1].weight[1]


def test_a_batch_normalisation_of_layers_that_are_not_trained(tmp_path):
    network = behind(conv(), norm(2))
    made = loaded(network, IMAGE, tmp_path, layers=["5"], rate=0.01)
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in made.state_dict().items() if not k.startswith("5."))


def test_an_adapter_beside_a_layer_with_batch_normalisation(tmp_path):
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(5)
            self.first, self.second, self.norm = conv(), nn.Conv2d(2, 2, 3, padding=1, bias=False), norm(2)
            self.square, self.pool, self.head = Square(), nn.AdaptiveAvgPool2d(1), nn.Linear(2, 3)

        def forward(self, x):
            x = self.square(self.first(x))
            return self.head(self.pool(x + self.norm(self.second(x))).flatten(1))

    network = Residual()
    made = loaded(network, IMAGE, tmp_path, adapter={"second": 1}, layers=["head"])
    assert torch.allclose(made.norm.bias, network.norm.bias) and not torch.equal(made.second.weight, network.second.weight)


def test_layers_without_biases_get_some(tmp_path):
    torch.manual_seed(6)
    network = nn.Sequential(nn.Linear(6, 5, bias=False), Square(), nn.Linear(5, 3, bias=False))
    made = loaded(network, (6,), tmp_path)
    assert set(made.state_dict()) - set(network.state_dict()) == {"0.bias", "2.bias"}
    assert isinstance(made[0].bias, nn.Parameter)
    made = loaded(behind(conv(bias=False)), IMAGE, tmp_path)
    assert made[0].bias.shape == (2,)


def dense_with_norm(*factors: float) -> nn.Module:
    torch.manual_seed(10)
    network = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), Square(), nn.Linear(5, 3))
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor(factors))
    return network


def test_a_batch_normalisation_behind_a_dense_layer(tmp_path):
    """It stays what it is, a factor: only where that is the same for all channels can such networks be trained."""
    network = dense_with_norm(2, 2, 2, 2, 2)
    made = loaded(network, (6,), tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(made[1].state_dict().values(), network[1].state_dict().values()))


def test_batch_normalisations_that_cannot_be_trained():
    with pytest.raises(sotto.BadInputError, match="track_running_stats=False") as caught:
        compiled(behind(conv(), nn.BatchNorm2d(2, track_running_stats=False)), IMAGE)
    assert caught.value.module == "1"
    with pytest.raises(sotto.BadInputError, match="cannot be trained") as caught:
        compiled(dense_with_norm(1, 2, 3, 4, 5), (6,))
    assert caught.value.module == "1"


def test_a_module_that_is_one_layer(tmp_path):
    for bias in (True, False):
        torch.manual_seed(11)
        assert loaded(nn.Linear(6, 3, bias=bias), (6,), tmp_path).bias is not None


def test_modules_in_training_mode_stay_in_it():
    network = behind(conv(), norm(2))
    network.train()
    network[1].eval()
    compiled(network, IMAGE).simulate(*data(IMAGE)).load_into(network)
    assert network.training and network[0].training and not network[1].training
    assert not network[0]._forward_hooks and not network[1]._forward_pre_hooks


class Product(nn.Module):
    """Weights without a layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(7)
        self.weight, self.bias = nn.Parameter(torch.randn(6, 3) / 3), nn.Parameter(torch.zeros(3))

    def forward(self, x):
        return x @ self.weight + self.bias


def twice() -> nn.Module:
    torch.manual_seed(8)
    layer = nn.Linear(6, 6)
    return nn.Sequential(layer, Square(), layer, Square(), nn.Linear(6, 3))


def tied() -> nn.Module:
    torch.manual_seed(9)
    network = nn.Sequential(nn.Linear(6, 6), Square(), nn.Linear(6, 6), Square(), nn.Linear(6, 3))
    network[2].weight = network[0].weight
    return network


@pytest.mark.parametrize("make, why", [(Product, "no weights of shape.*MatMul"), (twice, "used twice"), (tied, "0 and 2 .*share")])
def test_modules_that_cannot_take_weights_are_told_of_before(make, why, tmp_path):
    network = make()
    before = copy.deepcopy(network.state_dict())
    with pytest.warns(sotto.SottoWarning, match=f"{why}.*load_into will not work") as caught:
        plan = compiled(network, (6,))
    assert caught[0].filename == __file__
    result = plan.simulate(*data((6,)))
    with pytest.raises(sotto.BadInputError, match=why):
        result.load_into(network)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert np.isfinite(saved_scores(result, data((6,))[0], tmp_path)).all()


def test_a_module_that_does_more_stays_as_it_was():
    """Factors that become a part of the layer in ONNX, unseen by hooks."""
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.rest, self.norm = conv(bias=False), behind(nn.Identity()), norm(2)

        def forward(self, x):
            n = self.norm
            return self.rest(nn.functional.batch_norm(self.conv(x), n.running_mean, n.running_var, n.weight, n.bias))

    network = Hidden()
    result = compiled(network, IMAGE).simulate(*data(IMAGE))
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(sotto.BadInputError, match=r"write the network with save\(\)") as caught:
        result.load_into(network)
    assert caught.value.module == "conv" and network.conv.bias is None
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_folded_weights_are_those_of_the_result(tmp_path):
    """As the importer reads them from the module that was loaded."""
    network = behind(conv(), norm(2)).eval()
    result = compiled(network, IMAGE).simulate(*data(IMAGE))
    result.load_into(network)
    export(network, IMAGE, tmp_path / "net.onnx")
    again = sotto.compile_training(tmp_path / "net.onnx", SPEC, mean=0, std=1)
    for node, bias, values in again._plan.weights:
        assert values == pytest.approx((result.biases if bias else result.weights)[node], abs=1e-5), node
