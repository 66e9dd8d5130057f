"""What the attention encoders share: windows, the MLP, and softmax attention with an additive bias."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Mlp", "attend", "attend_whole", "from_windows", "split_heads", "to_windows"]

# Numbers of the bias held at a time (64 MiB as float32): a large picture's whole matrix would not fit.
MOST_LOGITS = 2**24
# Positions that an MLP handles at a time.
MOST_ROWS = 2**13


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Callable[[slice, slice], Tensor]) -> Tensor:
    """Return softmax(q k^T / sqrt(D) + bias) v, [B, heads, Q, D], computed in parts.

    Arguments: ``q`` [B, heads, Q, D]; ``k`` and ``v`` [B, heads, K, D]; ``bias(items, queries)``
    gives the logits to add for a slice of the batch and of the queries, [b, heads, q, K], where b
    may be 1.
    """
    batch, heads, length, _ = q.shape
    row = heads * k.shape[2]
    queries = min(length, max(1, MOST_LOGITS // row))
    items = max(1, MOST_LOGITS // (row * queries))
    return torch.cat(
        [
            torch.cat(
                [
                    F.scaled_dot_product_attention(q[chosen, :, rows], k[chosen], v[chosen], bias(chosen, rows))
                    for rows in _slices(length, queries)
                ],
                dim=2,
            )
            for chosen in _slices(batch, items)
        ]
    )


def attend_whole(q: Tensor, k: Tensor, v: Tensor, bias: Callable[[slice, slice], Tensor]) -> Tensor:
    """Return the same as ``attend`` by its definition, all logits at a time."""
    logits = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + bias(slice(None), slice(None))
    weighted: Tensor = logits.softmax(dim=-1) @ v
    return weighted


def split_heads(qkv: Tensor, heads: int) -> Tensor:
    """Turn ``qkv`` [B, N, 3C] into queries, keys and values, [3, B, heads, N, C / heads]."""
    return qkv.reshape(*qkv.shape[:2], 3, heads, -1).permute(2, 0, 3, 1, 4)


def to_windows(x: Tensor, side: int) -> Tensor:
    """Cut ``x`` [B, H, W, C], zero-padded at the bottom and right, into windows [B * n, side, side, C]."""
    batch, height, width, channels = x.shape
    x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
    rows, columns = x.shape[1] // side, x.shape[2] // side
    x = x.reshape(batch, rows, side, columns, side, channels)
    return x.transpose(2, 3).reshape(-1, side, side, channels)


def from_windows(windows: Tensor, height: int, width: int) -> Tensor:
    """Join what ``to_windows`` cut, [B * n, side, side, C], into [B, height, width, C] without the padding."""
    side, channels = windows.shape[2:]
    rows, columns = -(-height // side), -(-width // side)
    x = windows.reshape(-1, rows, columns, side, side, channels).transpose(2, 3)
    return x.reshape(-1, rows * side, columns * side, channels)[:, :height, :width]


class Mlp(nn.Module):
    """Two linear layers, four times as wide in between."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the shape of ``x``, [..., C]."""
        if torch.is_grad_enabled():
            x = self.fc2(F.gelu(self.fc1(x)))
            return x
        # In parts, whose four times as wide middle stays small.
        result = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        flat, out = x.flatten(0, -2), result.view(-1, x.shape[-1])
        for rows in _slices(len(flat), MOST_ROWS):
            out[rows] = self.fc2(F.gelu(self.fc1(flat[rows])))
        return result


def _slices(length: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]
