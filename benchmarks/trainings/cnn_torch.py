"""The convolutional network in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn


def dropped(x: Any, keep: Any, rate: float) -> Any:
    return x if keep is None else x * keep / (1 - rate)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        sizes = ((1, 32, 5), (32, 32, 3), (32, 64, 3), (64, 64, 3))
        self.convolutions = nn.ModuleList(nn.Conv2d(*size, padding="same", bias=False) for size in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm2d(outputs) for _, outputs, _ in sizes)
        self.dense1, self.dense2 = nn.Linear(256, 128), nn.Linear(128, 10)

    def forward(self, x: Any, keeps: Any = (None, None, None)) -> Any:
        for number, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = torch.relu(norm(convolution(x)))
            if number % 2:
                x = dropped(nn.functional.max_pool2d(x, 2), keeps[number // 2], 0.25)
        return self.dense2(dropped(torch.relu(self.dense1(x.flatten(1))), keeps[2], 0.5))


def channels_first(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.moveaxis(images, -1, -3))


class Training:
    def __init__(self, params: Any, steps: int) -> None:
        self.net = Net().to(memory_format=torch.channels_last)
        kernel = params["dense1"]["kernel"].reshape(2, 2, 64, 128).transpose(2, 0, 1, 3).reshape(256, 128)
        given = {
            **{f"convolutions.{k}.weight": params[f"conv{k + 1}"]["kernel"].transpose(3, 2, 0, 1) for k in range(4)},
            "dense1.weight": kernel.T,
            "dense1.bias": params["dense1"]["bias"],
            "dense2.weight": params["dense2"]["kernel"].T,
            "dense2.bias": params["dense2"]["bias"],
        }
        # Scales and biases of the norms begin with 1 and 0, as everywhere.
        self.net.load_state_dict({name: torch.from_numpy(array) for name, array in given.items()}, strict=False)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=2e-3)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, T_max=steps)

    def epoch(self, batches: Any) -> Any:
        self.net.train()
        keeps = (channels_first(batches["keep1"]), channels_first(batches["keep2"]), torch.from_numpy(batches["keep3"]))
        values = []
        for x, y, *keep in zip(
            channels_first(batches["x"]), torch.from_numpy(batches["y"]).long(), *keeps, strict=True
        ):
            self.optimizer.zero_grad()
            value = nn.functional.cross_entropy(self.net(x, keep), y)
            value.backward()
            self.optimizer.step()
            self.schedule.step()
            values.append(value.detach())
        return torch.stack(values).numpy()

    @torch.inference_mode()
    def accuracy(self, test: Any) -> float:
        self.net.eval()
        read = self.net(channels_first(test["x"])).argmax(dim=1)
        return float((read == torch.from_numpy(test["y"])).float().mean())
