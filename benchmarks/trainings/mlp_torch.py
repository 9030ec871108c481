"""The MLP in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Training:
    def __init__(self, params: Any, steps: int) -> None:
        self.net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
        linear = [layer for layer in self.net if isinstance(layer, nn.Linear)]
        for layer, dense in zip(linear, params.values(), strict=True):
            layer.load_state_dict(
                {"weight": torch.from_numpy(dense["kernel"].T), "bias": torch.from_numpy(dense["bias"])}
            )
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.3)
        self.schedule = torch.optim.lr_scheduler.LinearLR(self.optimizer, 1.0, 0.0, total_iters=steps)

    def epoch(self, batches: Any) -> Any:
        values = []
        for x, y in zip(torch.from_numpy(batches["x"]), torch.from_numpy(batches["y"]).long(), strict=True):
            self.optimizer.zero_grad()
            value = nn.functional.cross_entropy(self.net(x), y)
            value.backward()
            self.optimizer.step()
            self.schedule.step()
            values.append(value.detach())
        return torch.stack(values).numpy()

    @torch.inference_mode()
    def accuracy(self, test: Any) -> float:
        read = self.net(torch.from_numpy(test["x"])).argmax(dim=1)
        return float((read == torch.from_numpy(test["y"])).float().mean())
