"""Layers that train themselves in numpy and write themselves as ONNX nodes.

A network is a plain list of layers. Each layer keeps what its backward pass needs from the last forward pass, and
`to_onnx` gives the node that computes the same in ONNX; so the file that is served is the network that was trained.
It does only what two small digit classifiers need: no regularisers, no GPU, no saving of half-trained networks.
Images are laid out as [rows, channels, height, width], as ONNX has them.
"""
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from onnx import helper, numpy_helper


class Layer:
    """A step without parameters; layers that learn list theirs in `parameters` and `gradients`, in the same order."""

    parameters = ()
    gradients = ()


class Dense(Layer):
    """[rows, inputs] @ weights + bias."""

    def __init__(self, rng, inputs, outputs):
        self.parameters = (he_normal(rng, (inputs, outputs), inputs), np.zeros(outputs, np.float32))

    def forward(self, x):
        self.x = x
        weights, bias = self.parameters
        return x @ weights + bias

    def backward(self, grad):
        self.gradients = (self.x.T @ grad, grad.sum(axis=0))
        return grad @ self.parameters[0].T

    def to_onnx(self, x, y):
        return learned_node("Gemm", x, y, self.parameters)


class Conv3x3(Layer):
    """A 3x3 convolution that keeps height and width (zeros around the border)."""

    def __init__(self, rng, inputs, outputs):
        self.parameters = (he_normal(rng, (outputs, inputs, 3, 3), inputs * 9), np.zeros(outputs, np.float32))

    def forward(self, x):
        self.windows = windows_3x3(x)
        weights, bias = self.parameters
        return convolve(self.windows, weights) + bias[:, None, None]

    def backward(self, grad):
        to_weights = np.tensordot(grad, self.windows, axes=((0, 2, 3), (0, 2, 3)))
        self.gradients = (to_weights, grad.sum(axis=(0, 2, 3)))
        mirrored = self.parameters[0].transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
        return convolve(windows_3x3(grad), mirrored)

    def to_onnx(self, x, y):
        return learned_node("Conv", x, y, self.parameters, kernel_shape=[3, 3], pads=[1, 1, 1, 1])


class Relu(Layer):
    def forward(self, x):
        self.open = x > 0
        return x * self.open

    def backward(self, grad):
        return grad * self.open

    def to_onnx(self, x, y):
        return helper.make_node("Relu", [x], [y]), []


class MaxPool2x2(Layer):
    """The largest of each 2x2 block; a tie shares its gradient evenly."""

    def forward(self, x):
        rows, channels, height, width = x.shape
        self.shape = x.shape
        blocks = x.reshape(rows, channels, height // 2, 2, width // 2, 2)
        largest = blocks.max(axis=(3, 5), keepdims=True)
        winners = blocks == largest
        self.share = winners / winners.sum(axis=(3, 5), keepdims=True, dtype=np.float32)
        return largest[:, :, :, 0, :, 0]

    def backward(self, grad):
        return (grad[:, :, :, None, :, None] * self.share).reshape(self.shape)

    def to_onnx(self, x, y):
        return helper.make_node("MaxPool", [x], [y], kernel_shape=[2, 2], strides=[2, 2]), []


class Flatten(Layer):
    def forward(self, x):
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, grad):
        return grad.reshape(self.shape)

    def to_onnx(self, x, y):
        return helper.make_node("Flatten", [x], [y]), []


class Adam:
    """Adam (Kingma and Ba, 2015) with its published constants."""

    def __init__(self, layers):
        self.layers = layers
        self.moments = [[(np.zeros_like(p), np.zeros_like(p)) for p in layer.parameters] for layer in layers]
        self.steps = 0

    def step(self, rate):
        self.steps += 1
        rate *= np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        for layer, moments in zip(self.layers, self.moments):
            for parameter, grad, (mean, square) in zip(layer.parameters, layer.gradients, moments):
                mean += 0.1 * (grad - mean)
                square += 0.001 * (grad * grad - square)
                parameter -= (rate * mean / (np.sqrt(square) + 1e-8)).astype(np.float32)


def train(layers, images, labels, rng, epochs, rate=2e-3, batch=32):
    """Fit in place by cross-entropy; the learning rate falls to zero along half a cosine."""
    optimizer = Adam(layers)
    for epoch in range(epochs):
        falling = rate * (1 + np.cos(np.pi * epoch / epochs)) / 2
        order = rng.permutation(len(images))
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            probabilities = softmax(forward(layers, images[chosen]))
            backward(layers, (probabilities - np.eye(10, dtype=np.float32)[labels[chosen]]) / len(chosen))
            optimizer.step(falling)


def forward(layers, x):
    for layer in layers:
        x = layer.forward(x)
    return x


def backward(layers, grad):
    for layer in reversed(layers):
        grad = layer.backward(grad)


def softmax(logits):
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def he_normal(rng, shape, fan_in):
    return (rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)


def windows_3x3(x):
    """[rows, channels, h, w] -> [rows, channels, h, w, 3, 3]: the neighbourhood of each pixel."""
    return sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), axis=(2, 3))


def convolve(windows, weights):
    return np.tensordot(windows, weights, axes=((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)


def learned_node(operator, x, y, parameters, **attributes):
    """A node and its initializers, which are named after the node's output."""
    names = [f"{y}.weights", f"{y}.bias"]
    tensors = [numpy_helper.from_array(value, name) for name, value in zip(names, parameters)]
    return helper.make_node(operator, [x, *names], [y], **attributes), tensors
