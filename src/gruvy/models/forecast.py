"""Models that forecast: a linear map of the window, and a recurrent network that corrects it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gruvy.cells import Cell
from gruvy.data.panels.windows import Windows
from gruvy.errors import BadInput
from gruvy.layers import Recurrent
from gruvy.models.linear import fit_linear
from gruvy.models.parts import WindowScale

_UNKNOWN = 0.1  # how often a series is treated as one never seen, in training


class Forecaster(nn.Module):
    """What every forecasting network shares; its `recurrent` branch differs.

    Args:
        window: steps of the window; horizon: steps of the forecast; targets: in a track.
        quantiles: outputs a step; middle: which of them is the point forecast.
        scaling: see `WindowScale`.
        corrects: begin from the linear forecast; otherwise from no change at all.
    """

    def __init__(
        self, window: int, horizon: int, targets: int, quantiles: int, middle: int, scaling: str, corrects: bool
    ):
        super().__init__()
        self.horizon, self.targets, self.quantiles, self.middle = horizon, targets, quantiles, middle
        self.scale = WindowScale(scaling)
        self.linear = nn.Linear(window, horizon) if corrects else None
        for parameter in self.linear.parameters() if self.linear is not None else ():
            nn.init.zeros_(parameter)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """A batch of `Windows` -> standardised forecasts `(batch, horizon, targets, quantiles)`."""
        level, scale = self.scale(batch)
        window = (batch["values"] - level) / scale
        change = torch.zeros_like(level).expand(-1, self.horizon, -1)
        if self.linear is not None:
            change = self.linear(window.transpose(1, 2)).transpose(1, 2)
        outputs = change[..., None] + self.recurrent(window, change, batch)
        return level[..., None] + scale[..., None] * outputs

    def recurrent(self, window: Tensor, change: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Normalised windows `(batch, window, targets)` and a forecast to correct `(batch, horizon, targets)` ->
        corrections of it `(batch, horizon, targets, quantiles)`."""
        raise NotImplementedError


class SegmentForecaster(Forecaster):
    """Reads the window in segments and answers all segments of the horizon at once (SegRNN, Lin et al. 2023,
    arXiv:2308.11200): the state at the end of the window takes one step for each segment of the horizon, with the
    segment's place, its series and what is known of its time as the input.

    Args:
        segment: steps of a segment.
        sizes: features of `past`, `known` and `static`; tracks: known ones; masked: read which values are missing.
    """

    def __init__(
        self, window: int, horizon: int, targets: int, quantiles: int, middle: int, scaling: str, corrects: bool, *,
        cell: Cell,
        hidden_size: int, num_layers: int, dropout: float, segment: int, sizes: Mapping[str, int], tracks: int,
        masked: bool, engine: str,
    ):  # fmt: skip
        super().__init__(window, horizon, targets, quantiles, middle, scaling, corrects)
        self.segment, self.masked = segment, masked
        self.segments = -(-horizon // segment)
        width = targets * (1 + masked) + sizes["past"] + sizes["known"]
        self.read = nn.Linear(segment * width, hidden_size)
        self.rnn = Recurrent(
            cell, hidden_size, hidden_size, num_layers, dropout=dropout if num_layers > 1 else 0.0, engine=engine
        )
        self.place = nn.Parameter(torch.randn(self.segments, hidden_size))
        self.track = nn.Embedding(tracks + 1, hidden_size)
        self.ahead = nn.Linear(segment * sizes["known"], hidden_size, bias=False) if sizes["known"] else None
        self.static = nn.Linear(sizes["static"], hidden_size, bias=False) if sizes["static"] else None
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden_size, segment * targets * quantiles)

    def recurrent(self, window: Tensor, change: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """See `Forecaster.recurrent`."""
        count, steps = window.shape[:2]
        read = torch.cat([*_parts(window, batch, self.masked), batch["past"], batch["known"][:, :steps]], -1)
        read = F.pad(read, (0, 0, -steps % self.segment, 0))
        embedded = torch.relu(self.read(read.reshape(count, -1, self.segment * read.shape[2])))
        _, state = self.rnn(embedded.transpose(0, 1))
        query = self._queries(batch, steps).reshape(1, count * self.segments, -1)
        output, _ = self.rnn(query, _repeated(state, self.segments))
        outputs = self.head(self.dropout(output[0]))
        return outputs.view(count, self.segments * self.segment, self.targets, self.quantiles)[:, : self.horizon]

    def _queries(self, batch: Mapping[str, Tensor], steps: int) -> Tensor:
        """What is asked of each segment of the horizon, `(batch, segments, hidden)`."""
        query = self.place + _of_track(self.track, batch, self.training)[:, None]
        if self.static is not None:
            query = query + self.static(batch["static"])[:, None]
        if self.ahead is not None:
            known = batch["known"][:, steps:]
            known = F.pad(known, (0, 0, 0, self.segments * self.segment - self.horizon))
            query = query + self.ahead(known.reshape(len(known), self.segments, -1))
        return query


class AutoregressiveForecaster(Forecaster):
    """Reads the window step by step and feeds each forecast back as the next input.

    Args:
        see `SegmentForecaster`.
    """

    def __init__(
        self, window: int, horizon: int, targets: int, quantiles: int, middle: int, scaling: str, corrects: bool, *,
        cell: Cell,
        hidden_size: int, num_layers: int, dropout: float, sizes: Mapping[str, int], tracks: int, masked: bool,
        engine: str,
    ):  # fmt: skip
        super().__init__(window, horizon, targets, quantiles, middle, scaling, corrects)
        self.masked = masked
        between = dropout if num_layers > 1 else 0.0
        width = targets * (1 + masked) + sizes["past"] + sizes["known"]
        self.read = nn.Linear(width, hidden_size)
        self.write = nn.Linear(targets + sizes["known"], hidden_size)
        self.encoder = Recurrent(cell, hidden_size, hidden_size, num_layers, dropout=between, engine=engine)
        self.decoder = Recurrent(cell, hidden_size, hidden_size, num_layers, dropout=between, engine=engine)
        self.track = nn.Embedding(tracks + 1, hidden_size)
        self.static = nn.Linear(sizes["static"], hidden_size, bias=False) if sizes["static"] else None
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden_size, targets * quantiles)

    def recurrent(self, window: Tensor, change: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """See `Forecaster.recurrent`."""
        steps = window.shape[1]
        known = batch["known"].transpose(0, 1)
        read = torch.cat([*_parts(window, batch, self.masked), batch["past"], batch["known"][:, :steps]], -1)
        _, state = self.encoder(torch.relu(self.read(read)).transpose(0, 1))
        series = _of_track(self.track, batch, self.training)
        if self.static is not None:
            series = series + self.static(batch["static"])
        value, corrections = window[:, -1], []
        for step in range(self.horizon):
            embedded = torch.relu(self.write(torch.cat([value, known[steps + step]], -1)) + series)
            output, state = self.decoder(embedded[None], state)
            correction = self.head(self.dropout(output[0])).view(len(window), self.targets, self.quantiles)
            corrections.append(correction)
            value = change[:, step] + correction[..., self.middle]
        return torch.stack(corrections, 1)


class ForecastModel(nn.Module):
    """Forecasting networks, the linear forecast and the last value, weighed.

    Args:
        members: networks of one window, horizon and scaling.
        window: steps of it.

    Attributes:
        network: the members.
        weights: how much the last value, the linear forecast and each network count; they sum to 1.
        fitted: the linear forecast, `(window + 1, horizon)`.
    """

    answer = "model"
    weights: Tensor
    fitted: Tensor

    def __init__(self, members: Sequence[Forecaster], window: int):
        super().__init__()
        self.network = nn.ModuleList(members)
        self.middle = members[0].middle
        self.register_buffer("weights", torch.tensor([0.0, 0.0] + [1 / len(members)] * len(members)))
        self.register_buffer("fitted", torch.zeros(window + 1, members[0].horizon))

    @property
    def members(self) -> list[Forecaster]:
        """The networks."""
        return [member for member in self.network if isinstance(member, Forecaster)]

    @property
    def names(self) -> list[str]:
        """Of what is weighed."""
        networks = [f"network {place + 1}" for place in range(len(self.network))]
        return ["last value", "linear", *(networks if len(networks) > 1 else ["network"])]

    def prepare(self, train: Windows, validation: Windows) -> None:
        """What comes before gradient steps: the linear forecast."""
        fit = fit_linear(train, validation, self.members[0].scale.kind)
        self.fitted.copy_(fit.weights)
        for member in self.members:
            member.scale.at_last.fill_(fit.at_last)
            if member.linear is not None:
                with torch.no_grad():
                    member.linear.weight.copy_(fit.weights[:-1].T)
                    member.linear.bias.copy_(fit.weights[-1])

    def linear(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The linear forecast, standardised, `(batch, horizon, targets, 1)`."""
        level, scale = self.members[0].scale(batch)
        window = ((batch["values"] - level) / scale).transpose(1, 2)
        change = F.linear(window, self.fitted[:-1].T, self.fitted[-1]).transpose(1, 2)
        return (level + scale * change)[..., None]

    def branches(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Standardised forecasts `(batch, horizon, targets, quantiles)`, the quantiles rising."""
        outputs = torch.stack([member(batch).sort(-1).values for member in self.members])
        points = self._points(batch, outputs)
        trusted = self.weights[2:] if self.weights[2:].sum() > 0 else torch.ones_like(self.weights[2:])
        spreads = outputs - outputs[..., self.middle, None]
        spread = torch.tensordot(trusted / trusted.sum(), spreads, 1)
        return {self.answer: torch.tensordot(self.weights, points, 1)[..., None] + spread}

    def points(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """The point forecast of each of `names`, `(batch, horizon, targets)`."""
        outputs = torch.stack([member(batch).sort(-1).values for member in self.members])
        return dict(zip(self.names, self._points(batch, outputs), strict=True))

    def _points(self, batch: Mapping[str, Any], outputs: Tensor) -> Tensor:
        middles = outputs[..., self.middle]
        last = batch["values"][:, -1:].expand_as(middles[0])
        return torch.cat([torch.stack([last, self.linear(batch)[..., 0]]), middles])


def forecast_model(
    window: int, horizon: int, targets: int, quantiles: int, middle: int, cell: Cell, *, head: str, scaling: str,
    hidden_size: int, num_layers: int, dropout: float, segment: int, members: int, sizes: Mapping[str, int],
    tracks: int, masked: bool, engine: str,
) -> ForecastModel:  # fmt: skip
    """A `ForecastModel` from numbers.

    Args:
        head: `"direct"`, all segments of the horizon at once; `"autoregressive"`, step by step.
        members: networks whose forecasts are averaged.

    Raises:
        BadInput: the cell reads more than one input.
    """
    if len(cell.inputs) > 1:
        raise BadInput(f"a forecast feeds one input; {cell.name} reads {', '.join(cell.inputs)}: use another cell")
    shared: dict[str, Any] = {
        "cell": cell, "hidden_size": hidden_size, "num_layers": num_layers, "dropout": dropout, "sizes": sizes,
        "tracks": tracks, "masked": masked, "engine": engine,
    }  # fmt: skip
    common = (window, horizon, targets, quantiles, middle, scaling)

    def member(corrects: bool) -> Forecaster:
        if head == "direct":
            return SegmentForecaster(*common, corrects, segment=segment, **shared)
        return AutoregressiveForecaster(*common, corrects, **shared)

    # One corrects the linear forecast, the next does without it: where one is led astray, the other is not.
    return ForecastModel([member(place % 2 == 0) for place in range(members)], window)


def _parts(window: Tensor, batch: Mapping[str, Tensor], masked: bool) -> list[Tensor]:
    """The window and, where training had missing values, which of its values were observed."""
    return [window, batch["observed"].to(window.dtype)] if masked else [window]


def _of_track(embedding: nn.Embedding, batch: Mapping[str, Tensor], training: bool) -> Tensor:
    """The embedding of each window's track; 0 stands for an unknown one, and is sometimes trained in its place."""
    track = batch["track"]
    if training:
        track = track.masked_fill(torch.rand(track.shape, device=track.device) < _UNKNOWN, 0)
    return embedding(track)


def _repeated(state: Tensor | tuple[Tensor, ...], times: int) -> Tensor | tuple[Tensor, ...]:
    """States `(layers, batch, units)` -> `(layers, batch * times, units)`, each one's copies side by side."""
    if isinstance(state, tuple):
        return tuple(part.repeat_interleave(times, 1) for part in state)
    return state.repeat_interleave(times, 1)
