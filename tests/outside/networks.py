"""Small versions of well-known networks, with quadratic or ReLU activations, random weights and fitting normalisation."""

import torch
import torchvision
from torch import nn
from torch.nn import functional as F

import pictures


class Quadratic(nn.Module):
    """a x^2 + b x + c, with an a that keeps the sums of residual networks from growing beyond all bounds."""

    def __init__(self):
        super().__init__()
        self.abc = nn.Parameter(torch.tensor([0.02, 0.5, 0.1]))

    def forward(self, x):
        return self.abc[0] * x * x + self.abc[1] * x + self.abc[2]


def swap(module, quadratic):
    """AvgPool for MaxPool, and quadratic or ReLU activations for all."""
    for name, child in module.named_children():
        if isinstance(child, nn.MaxPool2d):
            pool = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode, False)
            setattr(module, name, pool)
        elif isinstance(child, (nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish)):
            setattr(module, name, Quadratic() if quadratic else nn.ReLU())
        else:
            swap(child, quadratic)
    return module


def block(c_in, c_out, stride=1, groups=1, kernel=3):
    conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.ReLU())


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 5), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 5),
                                      nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
        self.first, self.norm, self.act, self.last = nn.Linear(128, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10)
        self.end = nn.LogSoftmax(1)

    def forward(self, x):
        x = self.features(x)
        x = x.view(x.size(0), -1)
        return self.end(self.last(self.act(self.norm(self.first(x)))))


class Perceptron(nn.Module):
    """A flat input that is scaled inside."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 10))

    def forward(self, x):
        return self.layers((x - 0.5) * 2)


class Vgg(nn.Module):
    def __init__(self, thinner=1):
        super().__init__()
        layers, channels = [], 3
        for width in (8, "M", 12, "M", 16, 16, "M"):
            if width == "M":
                layers += [nn.MaxPool2d(2, 2)]
            else:
                layers += [block(channels, width // thinner)]
                channels = width // thinner
        self.features, self.pool = nn.Sequential(*layers), nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(nn.Linear(4 * channels, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(), nn.Linear(24, 10))

    def forward(self, x):
        return self.classifier(torch.flatten(self.pool(self.features(x)), 1))


class MobileNet(nn.Module):
    """Version 1: depthwise and pointwise convolutions."""

    def __init__(self, thinner=1):
        super().__init__()
        self.thinner, channels = thinner, 8 // thinner
        layers = [block(3, channels, 2)]
        for width, stride in ((16, 1), (24, 2), (24, 1), (32, 2)):
            layers += [block(channels, channels, stride, channels), block(channels, width // thinner, kernel=1)]
            channels = width // thinner
        self.features, self.last = nn.Sequential(*layers), nn.Linear(channels, 10)

    def forward(self, x):
        x = self.features(x)
        return self.last(F.avg_pool2d(x, 4 if self.thinner == 1 else 2).reshape(-1, 32 // self.thinner))


class OptionA(nn.Module):
    """A block of the CIFAR ResNets whose shortcut picks every second pixel and pads channels with zeros."""

    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.stride, self.more = stride, c_out - c_in
        self.a, self.b, self.act = block(c_in, c_out, stride), block(c_out, c_out), nn.ReLU()

    def forward(self, x):
        shortcut = x
        if self.stride != 1:
            shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return self.act(self.b(self.a(x)) + shortcut)


class OptionAConcat(OptionA):
    def forward(self, x):
        shortcut = x[:, :, ::2, ::2] if self.stride != 1 else x
        if self.more:
            shortcut = torch.cat((shortcut, shortcut[:, : self.more] * 0), 1)
        return self.act(self.b(self.a(x)) + shortcut)


class CifarResNet(nn.Module):
    def __init__(self, kind=OptionA, width=8):
        super().__init__()
        self.stem = block(3, width)
        self.blocks = nn.Sequential(kind(width, width, 1), kind(width, 2 * width, 2), kind(2 * width, 4 * width, 2))
        self.last = nn.Linear(4 * width, 10)

    def forward(self, x):
        x = self.blocks(self.stem(x))
        return self.last(x.mean(3).mean(2))


class Padded(nn.Module):
    """Pads, crops, ceil_mode, uneven strides, and a softmax at the end."""

    def __init__(self):
        super().__init__()
        self.a = nn.Sequential(nn.ZeroPad2d((1, 2, 0, 1)), nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
        self.b = nn.Sequential(nn.AvgPool2d(3, 2, 1, True, True), nn.ZeroPad2d((-1, 1, 2, -1)), block(6, 8, (1, 2)))
        self.c, self.last, self.end = nn.AvgPool2d(3, 2, 1, True, False), nn.Linear(8, 10), nn.Softmax(-1)

    def forward(self, x):
        x = self.c(self.b(F.pad(self.a(x), [1, 0, 0, 1])))
        x = F.adaptive_avg_pool2d(x, 1).squeeze(3).squeeze(2)
        return self.end(self.last(x))


class Joined(nn.Module):
    """Chunks, a stacked shuffle, concatenation, transposes of a flattened map."""

    def __init__(self):
        super().__init__()
        self.stem, self.left, self.right = block(3, 8), block(4, 4), block(4, 8)
        self.last = nn.Linear(12 * 16, 10)

    def forward(self, x):
        a, b = self.stem(x).chunk(2, 1)
        x = torch.cat([self.left(a), self.right(b)], 1)
        n, c, h, w = x.shape
        x = x.view(n, 3, c // 3, h, w).transpose(1, 2).reshape(n, c, h, w)
        x = F.avg_pool2d(x, 4)
        return self.last(x.permute(0, 2, 3, 1).flatten(1))


class RawPixels(nn.Module):
    """Bytes, scaled and normalised inside."""

    def __init__(self, width=8):
        super().__init__()
        self.register_buffer("middle", torch.tensor([0.49, 0.48, 0.45]).view(1, 3, 1, 1))
        self.register_buffer("spread", torch.tensor([0.25, 0.24, 0.26]).view(1, 3, 1, 1))
        self.net = CifarResNet(width=width)

    def forward(self, x):
        return self.net((x.float() / 255 - self.middle) / self.spread)


class DenseNet(torchvision.models.DenseNet):
    """With its last activation as a module, which can be swapped."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.act = nn.ReLU()

    def forward(self, x):
        x = self.act(self.features(x))
        return self.classifier(F.adaptive_avg_pool2d(x, 1).flatten(1))


def resnet(kind, layers, keep):
    return narrow(torchvision.models.resnet.ResNet(kind, layers, num_classes=10), keep)


def narrow(net, keep):
    """One of `keep` channels of a network of torchvision that has no option for that."""

    def fewer(channels):
        return channels if channels in (3, 10) else max(1, channels // keep)

    for name, m in list(net.named_modules()):
        if isinstance(m, nn.Conv2d):
            groups = fewer(m.in_channels) if m.groups > 1 else 1  # depthwise
            new = nn.Conv2d(fewer(m.in_channels), fewer(m.out_channels), m.kernel_size, m.stride, m.padding, groups=groups,
                            bias=m.bias is not None)
        elif isinstance(m, nn.BatchNorm2d):
            new = nn.BatchNorm2d(fewer(m.num_features))
        elif isinstance(m, nn.Linear):
            new = nn.Linear(fewer(m.in_features), m.out_features)
        else:
            continue
        parent = net.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], new)
    return net


R, M = torchvision.models.resnet, torchvision.models.MobileNetV2
MOBILE = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 2, 2]]  # expansion, width, blocks, stride
NETWORKS = {
    "lenet": (LeNet, (1, 28, 28)),
    "perceptron": (Perceptron, (64,)),
    "vgg": (Vgg, (3, 32, 32)),
    "resnet18": (lambda: resnet(R.BasicBlock, [2, 2, 2, 2], 8), (3, 32, 32)),
    "resnet34": (lambda: resnet(R.BasicBlock, [3, 4, 6, 3], 16), (3, 16, 16)),
    "resnet50": (lambda: resnet(R.Bottleneck, [3, 4, 6, 3], 64), (3, 16, 16)),
    "mobilenet1": (MobileNet, (3, 32, 32)),
    "mobilenet2": (lambda: narrow(M(10, 1.0, MOBILE), 8), (3, 32, 32)),
    "densenet": (lambda: DenseNet(8, (2, 3, 2), 8, num_classes=10), (3, 32, 32)),
    "squeezenet": (lambda: narrow(torchvision.models.SqueezeNet("1_1", num_classes=10), 8), (3, 32, 32)),
    "shufflenet": (lambda: torchvision.models.ShuffleNetV2([2, 2, 2], [8, 16, 24, 32, 48], num_classes=10), (3, 32, 32)),
    "option-a": (CifarResNet, (3, 16, 16)),
    "option-a-concat": (lambda: CifarResNet(OptionAConcat), (3, 16, 16)),
    "padded": (Padded, (3, 15, 14)),
    "joined": (Joined, (3, 16, 16)),
    "raw-pixels": (RawPixels, (3, 16, 16)),
}
# In place of these with ReLU, of which every channel takes a bootstrap: thinner and with fewer blocks of the same kinds.
WITH_RELU = {
    "vgg": (lambda: Vgg(2), (3, 16, 16)),
    "resnet18": (lambda: resnet(R.BasicBlock, [1, 1, 1, 1], 32), (3, 16, 16)),
    "resnet34": (lambda: resnet(R.BasicBlock, [1, 2, 1, 1], 32), (3, 16, 16)),
    "resnet50": (lambda: resnet(R.Bottleneck, [2, 1, 1, 1], 64), (3, 16, 16)),
    "mobilenet1": (lambda: MobileNet(4), (3, 16, 16)),
    "mobilenet2": (lambda: narrow(M(10, 1.0, MOBILE), 32), (3, 16, 16)),
    "densenet": (lambda: DenseNet(2, (2, 2), 4, 2, num_classes=10), (3, 16, 16)),
    "squeezenet": (lambda: narrow(torchvision.models.SqueezeNet("1_1", num_classes=10), 32), (3, 24, 24)),
    "shufflenet": (lambda: torchvision.models.ShuffleNetV2([1, 1, 1], [4, 4, 4, 8, 8], num_classes=10), (3, 16, 16)),
    "option-a": (lambda: CifarResNet(OptionA, 2), (3, 16, 16)),
    "option-a-concat": (lambda: CifarResNet(OptionAConcat, 2), (3, 16, 16)),
    "raw-pixels": (lambda: RawPixels(2), (3, 16, 16)),
}


class Centred(nn.Module):
    """(scores - mean) / spread of a network that does not end with a linear layer."""

    def __init__(self, net, mean, spread):
        super().__init__()
        self.net = net
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)

    def forward(self, x):
        return (self.net(x) - self.mean) / self.spread


def calibrated(net, values, quadratic):
    """Gives a network the statistics of these inputs, and scores that make labels vary, as training leaves both."""
    torch.manual_seed(2)
    norms = [m for m in net.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
    layers = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    for m in norms:
        m.momentum = None  # the mean of all batches
        # Residual sums of squares must not grow beyond all bounds; polynomials for ReLU err less beside larger values.
        nn.init.uniform_(m.weight, *((0.2, 0.6) if quadratic else (0.5, 1.5)))
        nn.init.uniform_(m.bias, -0.5, 0.5)
    with torch.no_grad():
        if norms:
            net.train()(values)
            net.eval()
        else:
            net.eval()
            for m in layers:  # one after the other, as each changes what the next reads
                y = output_of(m, net, values)
                across = [d for d in range(y.dim()) if d != 1]
                settle(m, y.std(across), y.mean(across))
        last = layers[-1]
        if isinstance(last, nn.Linear):
            scores = output_of(last, net, values)
            settle(last, scores.std(0), scores.mean(0))
            return net
        scores = net(values)
        return Centred(net, scores.mean(0), scores.std(0)).eval()


def output_of(module, net, values):
    """What a module of a network gives for these inputs."""
    kept = []
    hook = module.register_forward_hook(lambda module, x, y: kept.append(y))
    net(values)
    hook.remove()
    return kept[0]


def settle(layer, spread, mean=0):
    """Makes a layer give (output - mean) / spread."""
    layer.weight /= spread.reshape(-1, *[1] * (layer.weight.dim() - 1))
    if layer.bias is not None:
        layer.bias.copy_((layer.bias - mean) / spread)


def builder_and_shape(network, activation):
    return WITH_RELU[network] if activation == "relu" and network in WITH_RELU else NETWORKS[network]


def make(network, activation):
    """One of NETWORKS, on pictures between 0 and 1, or on bytes."""
    build, shape = builder_and_shape(network, activation)
    torch.manual_seed(1)
    quadratic = activation == "quadratic"
    return calibrated(swap(build(), quadratic), values_of(network, pictures.smooth(128, shape, seed=3)), quadratic)


def values_of(network, pixels):
    """What a network of NETWORKS reads for pictures of bytes."""
    values = torch.from_numpy(pixels)
    return values if network == "raw-pixels" else values / 255
