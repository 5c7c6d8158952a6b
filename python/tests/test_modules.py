"""Of a PyTorch module that cannot run encrypted the part is named, be it the compiler, the exporter or PyTorch that refuses."""
from __future__ import annotations

import pytest
import sotto
import torch
from torch import nn
from torch_networks import Square


class Apply(nn.Module):
    """A function without a module of its own."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Block(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.conv, self.bn, self.act = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), act

    def forward(self, x):
        return self.act(self.bn(self.conv(x))) + x


class Network(nn.Module):
    """Two stages of two blocks each; activation, pool and layer are those of the end."""

    def __init__(self, act=None, pool=None, layer=None):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.layer1 = nn.Sequential(Block(Square()), Block(Square()))
        self.layer2 = nn.ModuleList([Block(act or Square()), Block(Square())])
        self.pool = pool or nn.AvgPool2d(2)
        self.head = nn.ModuleDict({"layer": layer or nn.Identity(), "fc": nn.Linear(4, 3)})

    def forward(self, x):
        x = self.layer1(self.stem(x))
        for block in self.layer2:
            x = block(x)
        return self.head["fc"](self.head["layer"](self.pool(x)).mean((2, 3)))


def refused(network: nn.Module) -> sotto.BadInputError:
    with pytest.raises(sotto.BadInputError) as e:
        sotto.compile(network, batch=4, input_shape=(3, 8, 8), mean=0.5, std=0.25)
    assert "\n" not in str(e.value) and (e.value.module is None or f"(module {e.value.module})" in str(e.value))
    return e.value


@pytest.mark.parametrize("act, message", [
    (nn.Softmax(1), "Softmax"), (nn.LogSigmoid(), "Log"), (nn.Hardshrink(), "layer2.0"), (Apply(torch.sin), "Sin"),
    (Apply(torch.sign), "jumps"), (Apply(lambda x: 1 / x), "division"), (nn.Threshold(0.1, 20), "threshold")])
def test_activations(act, message):
    e = refused(Network(act=act))
    assert e.module == "layer2.0.act" and message in e.message


def test_a_part_of_an_activation():
    assert refused(Network(act=nn.Sequential(nn.Conv2d(4, 4, 1), nn.Softmax(1)))).module == "layer2.0.act.1"


@pytest.mark.parametrize("pool, message", [
    (nn.LPPool2d(2, 2), "Sign"),
    (nn.FractionalMaxPool2d(2, output_size=4), "fractional_max_pool2d"), (nn.AdaptiveAvgPool2d(3), "adaptive_avg_pool2d")])
def test_pools(pool, message):
    e = refused(Network(pool=pool))
    assert e.module == "pool" and message in e.message


@pytest.mark.parametrize("layer, message", [
    (nn.GroupNorm(2, 4), "BatchNormalization"), (nn.InstanceNorm2d(4), "BatchNormalization"),
    (nn.LayerNorm([4, 4, 4]), "BatchNormalization"), (nn.ConvTranspose2d(4, 4, 2, stride=2), "ConvTranspose"),
    (nn.Upsample(scale_factor=2), "Resize"), (nn.ReflectionPad2d(1), "reflect"), (Apply(lambda x: x @ x), "MatMul")])
def test_layers(layer, message):
    e = refused(Network(layer=layer))
    assert e.module == "head.layer" and message in e.message


def test_what_pytorch_itself_cannot_run():
    e = refused(Network(layer=nn.Conv2d(5, 4, 1)))
    assert e.module == "head.layer" and e.message.startswith("PyTorch cannot run Network with images of 3x8x8")
    assert refused(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(7, 3))).module == "2"


def test_a_module_with_two_inputs():
    class Two(nn.Module):
        def forward(self, image, mask):
            return image * mask

    e = refused(Two())
    assert e.message == "Two.forward(image, mask) cannot be called with images alone; a network takes one input"


def test_the_module_itself():
    """Nothing is named where it is the whole."""
    class Root(nn.Module):
        def forward(self, x):
            return torch.sin(x).mean((2, 3))

    assert refused(Root()).module is None
    assert refused(nn.FractionalMaxPool2d(2, output_size=4)).module is None


def test_one_of_two_adaptive_pools():
    """The exporter does not say which one it means."""
    e = refused(nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Sequential(nn.AdaptiveAvgPool2d(3)), nn.Flatten(), nn.Linear(27, 2)))
    assert e.module is None and "adaptive_avg_pool2d" in e.message


def test_a_shared_module_has_its_first_name():
    act = nn.Softmax(1)
    assert refused(Network(layer=nn.Sequential(act, act))).module == "head.layer.0"


@pytest.mark.parametrize("path, name", [
    ("layer2.0.act", "act"), ("layer2.0", "layer2.0"), ("0.1", "0.1"), ("head.0.1", "head.0.1"), ("a.b2", "b2"), ("3.x.2", "x.2")])
def test_names_within_a_module(path, name):
    """As torch.onnx has them."""
    from sotto._export import _own_name
    assert _own_name(path) == name


def test_modules_of_the_same_scope():
    """What the exporter gives the same name is not named; what it gives another one is."""
    class Twins(nn.Module):
        def __init__(self, first, second):
            super().__init__()
            self.one, self.two = nn.ModuleDict({"act": first}), nn.ModuleDict({"act": second})

        def forward(self, x):
            return self.two["act"](self.one["act"](x)).mean((2, 3))

    assert refused(Twins(Apply(torch.sin), nn.Identity())).module is None
    assert refused(Twins(nn.Sequential(Apply(torch.sin)), nn.Identity())).module == "one.act.0"
