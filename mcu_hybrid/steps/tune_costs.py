"""tune's costs: what an input costs in each setting, as far as the folders say, and on what basis.

The device's time comes from a bench, a run, or the build's own prediction, in this order; what a
query takes from the link model, the payload and the server's measured time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mcu_hybrid import manifest
from mcu_hybrid.artifacts import store
from mcu_hybrid.artifacts.bench import BenchResult
from mcu_hybrid.artifacts.run import RunResult
from mcu_hybrid.artifacts.times import UNSAID
from mcu_hybrid.artifacts.train import TrainFacts
from mcu_hybrid.artifacts.tune import Basis, GlobalFacts, PowerFacts, QueryBasis
from mcu_hybrid.errors import InputError, McuHybridError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.machines import price
from mcu_hybrid.routing.costs import Cost, Power, given_power, power_of
from mcu_hybrid.routing.link_costs import DEFAULT, LinkModel, link_of
from mcu_hybrid.routing.tune import settings
from mcu_hybrid.routing.tune.payloads import payload
from mcu_hybrid.steps.split import calibration_split
from mcu_hybrid.steps.tune_inputs import CostOptions, Evidence


@dataclass
class Costs:
    """The known costs, why others are not, and what all of them rest on."""

    known: dict[str, Cost] = field(default_factory=dict)
    missing: dict[str, McuHybridError] = field(default_factory=dict)
    basis: Basis = Basis()  # noqa: RUF009 - frozen
    notes: list[str] = field(default_factory=list)


def costs_of(evidence: Evidence, options: CostOptions, on_event: OnEvent | None = None) -> Costs:
    """What an input costs in this setting, as far as it is known."""
    made = Costs(missing=_not_of_this_setting(options.setting))
    small = _device_figures(evidence, options, made)
    power = _power(evidence, options, made)
    if options.setting == settings.SAME_DEVICE:
        _same_device(evidence, options, small, power, made)
    elif options.setting == settings.ABSTAIN:
        _device_alone(small, power, made)
    else:
        _edge_cloud(evidence, options, small, power, made, on_event)
    return made


def _not_of_this_setting(setting: str) -> dict[str, McuHybridError]:
    """Costs that a setting does not have, with the reason."""
    if setting == settings.SAME_DEVICE:
        return {"bytes": _nothing_sent(setting)}
    both = InputError("is that of both networks on one device", "add --setting same-device")
    missing: dict[str, McuHybridError] = {"macs": both, "instructions": both}
    if setting == settings.ABSTAIN:
        missing["bytes"] = _nothing_sent(setting)
    return missing


def _nothing_sent(setting: str) -> InputError:
    return InputError(
        f"nothing is sent with --setting {setting}", "bound the queries: --max-query-rate 20%"
    )


@dataclass(frozen=True)
class _Figures:
    """One network on the device; None where it is not known."""

    ms: float | None
    instructions: float | None
    macs: float | None
    basis: str
    range_ms: tuple[float, float] | None = None  # of an estimate


def _device_figures(evidence: Evidence, options: CostOptions, made: Costs) -> _Figures:
    facts = evidence.build.facts if evidence.build else None
    estimate = facts.aot.estimate if facts and facts.aot else None
    if options.bench is not None:
        figures = _benched(options.bench)
    else:
        time = price.time_of(estimate.time if estimate else None)
        source = "predicted by the build, "
        if evidence.run:
            time, source = _time_of_run(evidence.run), "run: "
        basis = f"{source}{time.basis}"
        instructions = estimate.instructions if estimate else None
        figures = _figures(time, instructions, facts.macs if facts else None, basis)
    low, high = figures.range_ms or (None, None)
    made.basis = replace(
        made.basis, edge_ms=figures.ms, edge=figures.basis, edge_low_ms=low, edge_high_ms=high
    )
    if figures.ms is None:
        why = f": {figures.basis}" if figures.basis else ""
        made.missing["latency"] = made.missing["energy"] = InputError(
            f"the time of an input on the device is not known{why}",
            "take it from a board that has one: mcu-hybrid bench DIR --out runs/bench, then "
            "--bench runs/bench; or bound the queries: --max-query-rate 20%",
        )
    elif figures.range_ms is not None:
        us = (1e3 * value for value in (figures.ms, *figures.range_ms))
        about = price.milliseconds(*us)
        made.notes.append(f"the device's time is about {about}, {figures.basis}")
    return figures


def _figures(
    time: price.Time, instructions: float | None, macs: float | None, basis: str
) -> _Figures:
    ms, low, high = time.board_ms()
    band = None if low is None or high is None else (low, high)
    return _Figures(ms, instructions, macs, basis, band)


def _time_of_run(run: RunResult) -> price.Time:
    """The device's mean time in a run."""
    rests = run.rests
    if rests.latency_kind == UNSAID:
        return price.unknown(price.OLD)
    ends = (run.edge_ms, run.edge_low_ms, run.edge_high_ms)
    us, low, high = (None if ms is None else 1e3 * ms for ms in ends)
    return price.Time(us, low, high, rests.latency_kind, rests.latency_basis)


def _benched(folder: Path) -> _Figures:
    manifest.load(folder, "bench")
    result = store.result(BenchResult, folder)
    time = price.time_of(result.time)
    basis = f"bench on {result.board}: {time.basis}"
    return _figures(time, result.instructions, result.macs, basis)


def _power(evidence: Evidence, options: CostOptions, made: Costs) -> Power | None:
    """The board's power; None, with the reason kept, where there are no figures."""
    if options.power is not None:
        power = given_power(*options.power)
    elif evidence.board is None:
        made.missing.setdefault(
            "energy", InputError("energy needs a board", "give --board NAME, or --power 400,100")
        )
        return None
    else:
        try:
            power = power_of(evidence.board)
        except InputError as error:
            made.missing.setdefault("energy", error)
            return None
    told = PowerFacts(active_mw=power.active_mw, idle_mw=power.idle_mw, basis=power.basis)
    made.basis = replace(made.basis, power=told)
    return power


def _edge_cloud(
    evidence: Evidence,
    options: CostOptions,
    small: _Figures,
    power: Power | None,
    made: Costs,
    on_event: OnEvent | None,
) -> None:
    link = options.link or _link_of(evidence.run)
    sizes = _sizes(evidence, options, made, on_event)
    received, cloud_ms = evidence.query.received_bytes, evidence.query.cloud_ms
    made.known["bytes"] = Cost("B", 0.0, sizes)
    query = QueryBasis(link=link.facts(), cloud_ms=cloud_ms, answer_bytes=received)
    made.basis = replace(made.basis, query=query)
    if small.ms is None:
        return
    query_ms = _each(sizes, lambda size: link.query_ms(size, received, cloud_ms))
    made.known["latency"] = Cost("ms", small.ms, query_ms, small.range_ms)
    if link.query_mj(0) is None:
        made.missing["energy"] = InputError(
            f"the link {link.name} has no energy figures",
            "choose another, or give them: --link rtt=50,up=1e6,uj_up=1,uj_down=1,wake=10",
        )
    elif power is not None:
        radio = _each(sizes, lambda size: link.query_mj(size, received) or 0.0)
        wait = query_ms * power.idle_mw / 1e3
        made.known["energy"] = Cost(
            "mJ", power.edge_mj(small.ms), radio + wait, _mj(power, small.range_ms)
        )


def _mj(power: Power, range_ms: tuple[float, float] | None) -> tuple[float, float] | None:
    """The energy of both ends of an estimated time."""
    return None if range_ms is None else (power.edge_mj(range_ms[0]), power.edge_mj(range_ms[1]))


def _each(sizes: float | np.ndarray, function: Callable[[int], float]) -> Any:
    """A function of a size, for one size or for each of many."""
    if np.ndim(sizes) == 0:
        return function(int(sizes))
    return np.array([function(int(size)) for size in np.ravel(sizes)])


def _sizes(
    evidence: Evidence, options: CostOptions, made: Costs, on_event: OnEvent | None
) -> float | np.ndarray:
    """Bytes of a query: as measured, or by the payload asked for."""
    if not options.payload:
        made.basis = replace(made.basis, payload="request as measured")
        return float(evidence.query.sent_bytes)
    is_image = options.payload.partition(":")[0] not in ("features", "logits")
    images = None
    if is_image and evidence.export is not None:
        split = calibration_split(evidence.export)
        images = split.x if split is not None else None
    found = payload(options.payload, images, evidence.model.graph, on_event)
    made.basis = replace(made.basis, payload=found.form)
    if found.note:
        made.notes.append(f"payload {found.form}: {found.note}")
    if np.ndim(found.sizes) and len(np.ravel(found.sizes)) != evidence.outcomes.count:
        return float(np.mean(found.sizes))  # the run kept a part of the split only
    return found.sizes if np.ndim(found.sizes) else float(found.sizes)


def _link_of(run: RunResult | None) -> LinkModel:
    """The link that a run assumed; without a run the default."""
    return link_of(run.link) if run else DEFAULT


def _device_alone(small: _Figures, power: Power | None, made: Costs) -> None:
    """Abstention: what is not kept costs nothing more."""
    if small.ms is None:
        return
    made.known["latency"] = Cost("ms", small.ms, 0.0, small.range_ms)
    if power is not None:
        made.known["energy"] = Cost("mJ", power.edge_mj(small.ms), 0.0, _mj(power, small.range_ms))


def _same_device(
    evidence: Evidence, options: CostOptions, small: _Figures, power: Power | None, made: Costs
) -> None:
    """Both networks on the board; where the global was not measured, time goes by MACs."""
    large = _benched(options.global_bench) if options.global_bench else None
    macs = options.global_macs or (large.macs if large else None) or _trained_macs(evidence)
    why = InputError(
        "the global network's MACs are not known", "give --global-macs 215M or --global-bench DIR"
    )
    if macs is None or small.macs is None:
        made.missing |= dict.fromkeys(("macs", "instructions", "latency", "energy"), why)
        return
    made.known["macs"] = settings.same_device(small.macs, macs, "MACs")
    scale = macs / small.macs if small.macs else 0.0
    if large is None:
        made.notes.append("the global network was not measured: its time goes by its MACs")
        large = _Figures(
            None if small.ms is None else small.ms * scale,
            None if small.instructions is None else small.instructions * scale,
            macs,
            "scaled by MACs",
        )
    elif large.range_ms is not None and large.ms is not None:
        about = price.milliseconds(*(1e3 * value for value in (large.ms, *large.range_ms)))
        made.notes.append(f"the global network's time is about {about}, {large.basis}")
    told = GlobalFacts(macs=macs, ms=large.ms, basis=large.basis)
    made.basis = replace(made.basis, global_=told)
    if small.instructions is not None and large.instructions is not None:
        made.known["instructions"] = settings.same_device(
            small.instructions, large.instructions, "instructions"
        )
    if small.ms is not None and large.ms is not None:
        made.known["latency"] = replace(
            settings.same_device(small.ms, large.ms, "ms"), edge_range=small.range_ms
        )
        if power is not None:
            mj = power.edge_mj(small.ms), power.edge_mj(large.ms)
            made.known["energy"] = replace(
                settings.same_device(*mj, "mJ"), edge_range=_mj(power, small.range_ms)
            )


def _trained_macs(evidence: Evidence) -> float | None:
    """The global network's MACs, where the train folder behind the export is there."""
    if evidence.export is None:
        return None
    source = manifest.read(evidence.export).sources.get("model")
    folder = (evidence.export / source.path).resolve() if source else None
    if folder is None or not (folder / manifest.NAME).is_file():
        return None
    found = manifest.read(folder)
    return store.facts(TrainFacts, folder, found).global_macs if found.step == "train" else None
