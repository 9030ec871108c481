"""The translator in PyTorch, with its own GRU."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.trainings.data import BEGIN, END, PAD, UNKNOWN


class Net(nn.Module):
    def __init__(self, source_words: int, target_words: int) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(source_words, 48), nn.Embedding(target_words, 48)
        self.read = nn.GRU(48, 48, batch_first=True, bidirectional=True)
        self.write = nn.GRU(48, 96, batch_first=True)
        self.ask, self.hidden = nn.Linear(96, 96, bias=False), nn.Linear(192, 96)
        self.words = nn.Linear(96, target_words)

    def remember(self, source: Any) -> Any:
        lengths = (source != PAD).sum(dim=1)
        packed = pack_padded_sequence(self.source(source), lengths, batch_first=True, enforce_sorted=False)
        memory, _ = pad_packed_sequence(self.read(packed)[0], batch_first=True, total_length=source.shape[1])
        return memory

    def forward(self, words: Any, state: Any, memory: Any, there: Any) -> tuple[Any, Any]:
        hidden, state = self.write(self.target(words), state)
        match = self.ask(hidden) @ memory.transpose(1, 2)
        looks = match.masked_fill(~there[:, None, :], -math.inf).softmax(dim=-1)
        return self.words(torch.tanh(self.hidden(torch.cat([hidden, looks @ memory], dim=-1)))), state


def gru_weights(params: Any, name: str) -> dict[str, torch.Tensor]:
    """A GRU's parameters as PyTorch names them; it has a second bias for all gates."""
    tensors = {key: torch.from_numpy(array) for key, array in params.items()}
    second = torch.cat([torch.zeros(2 * len(tensors["recurrent_bias"])), tensors["recurrent_bias"]])
    found = {"weight_ih": tensors["kernel"].T, "weight_hh": tensors["recurrent_kernel"].T}
    return {name.format(key): value for key, value in (found | {"bias_ih": tensors["bias"], "bias_hh": second}).items()}


def last_gate_only(gradient: torch.Tensor) -> torch.Tensor:
    """Of the second bias: those of the gates r and z would be learnt twice."""
    size = len(gradient) // 3
    return torch.cat([torch.zeros(2 * size), gradient[2 * size :]])


class Training:
    def __init__(self, params: Any, steps: int) -> None:
        self.net = Net(*(len(params[side]["embedding"]) for side in ("source", "target")))
        tables = {f"{side}.weight": torch.from_numpy(params[side]["embedding"]) for side in ("source", "target")}
        dense = [(name, *each) for name in ("ask", "hidden", "words") for each in params[name].items()]
        kernels = {f"{name}.weight": torch.from_numpy(array.T) for name, part, array in dense if part == "kernel"}
        biases = {f"{name}.bias": torch.from_numpy(array) for name, part, array in dense if part == "bias"}
        recurrent = gru_weights(params["forward"], "read.{}_l0") | gru_weights(params["backward"], "read.{}_l0_reverse")
        recurrent |= gru_weights(params["write"], "write.{}_l0")
        self.net.load_state_dict(tables | kernels | biases | recurrent)
        for bias in (self.net.read.bias_hh_l0, self.net.read.bias_hh_l0_reverse, self.net.write.bias_hh_l0):
            bias.register_hook(last_gate_only)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=4e-3)
        warmup = steps // 20 + 1

        def factor(step: int) -> float:
            share = (step - warmup) / (steps + 1 - warmup)
            return step / warmup if step < warmup else (1 + math.cos(math.pi * share)) / 2

        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, factor)

    def epoch(self, batches: Any) -> Any:
        values = []
        pairs = zip(torch.from_numpy(batches["source"]), torch.from_numpy(batches["target"]).long(), strict=True)
        for source, target in pairs:
            self.optimizer.zero_grad()
            memory = self.net.remember(source)
            told = nn.functional.pad(target[:, :-1], (1, 0), value=BEGIN)
            scores, _ = self.net(told, memory[None, :, 0].contiguous(), memory, source != PAD)
            value = nn.functional.cross_entropy(scores.flatten(0, 1), target.flatten(), ignore_index=PAD)
            value.backward()
            nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
            self.optimizer.step()
            self.schedule.step()
            values.append(value.detach())
        return torch.stack(values).numpy()

    @torch.inference_mode()
    def accuracy(self, test: Any) -> float:
        source, target = torch.from_numpy(test["source"]), torch.from_numpy(test["target"])
        memory = self.net.remember(source)
        state, word, words = memory[None, :, 0].contiguous(), torch.full((len(source),), BEGIN), []
        ended = word == END
        for _ in range(target.shape[1]):
            scores, state = self.net(word[:, None], state, memory, source != PAD)
            word = scores[:, 0].argmax(dim=-1).masked_fill(ended, PAD)
            ended = ended | (word == END)
            words.append(word)
        found = torch.stack(words, dim=1)
        return float(((found == target) & (target != UNKNOWN)).all(dim=1).float().mean())
