"""tune: targets to a threshold on the calibration split, into a folder and into a running board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mcu_hybrid import manifest, mechanisms
from mcu_hybrid.artifacts import store
from mcu_hybrid.artifacts.table import Deployed
from mcu_hybrid.artifacts.tune import (
    Applied,
    CostFacts,
    EdgeRange,
    Estimated,
    RouteFacts,
    TargetRow,
    TuneFacts,
    TuneResult,
)
from mcu_hybrid.device.client import Device
from mcu_hybrid.errors import InputError, ProtocolError
from mcu_hybrid.events import OnEvent
from mcu_hybrid.routing.cascade import Rule
from mcu_hybrid.routing.costs import Cost
from mcu_hybrid.routing.tune.problem import LTT, Problem, Solution
from mcu_hybrid.routing.tune.settings import ACCURACY_OF, Estimate, curve, measure
from mcu_hybrid.routing.tune.solve import solve
from mcu_hybrid.routing.tune.units import Target
from mcu_hybrid.steps.build import Build, untuned_sha256
from mcu_hybrid.steps.flash import running_url
from mcu_hybrid.steps.tune_costs import Costs, costs_of
from mcu_hybrid.steps.tune_inputs import CostOptions, Evidence, gather

_CURVE_POINTS = 200  # of a figure a few hundred pixels wide


@dataclass(frozen=True)
class TuneOptions:
    """What is wanted; ``router`` "" is the deployed one. ``costs`` says where figures come from."""

    targets: Sequence[Target]
    router: str = ""
    guarantee: str = LTT
    confidence: float = 0.95
    strict: bool = False
    apply: bool = False
    port: str = ""
    costs: CostOptions = CostOptions()  # noqa: RUF009 - frozen
    probe: str = ""


def tune_step(
    source: Path, options: TuneOptions, *, out: Path | None = None, on_event: OnEvent | None = None
) -> TuneResult:
    """Find the threshold, apply it where asked, write tune.json; returns its content.

    Args:
        source: a run folder (the board's own answers), a build or an export folder.

    Raises:
        TargetError: no threshold meets the targets; it names what can be met.
        InputError: a target's cost, the router or the calibration split is not there.
        LinkError: ``apply``, and no board that runs the build answers.
    """
    if out is not None:
        manifest.check_target(out, "tune")
    evidence = gather(source, options.costs, on_event)
    if options.apply and evidence.build is None:
        raise InputError(
            "is no firmware: there is no board to set", "give a run or build folder", path=source
        )
    made = costs_of(evidence, options.costs, on_event)
    problem = _problem(evidence, made, options)
    solution = solve(problem, options.targets)
    result = _result(evidence, made, problem, solution, options.targets)
    if options.apply and evidence.build is not None:
        rule = solution.cascade.rules[0]
        applied = apply_route(evidence.build, rule, port=options.port, probe=options.probe)
        result = replace(result, applied=applied)
    if out is not None:
        with manifest.writing(out, "tune") as draft:
            draft.sources[evidence.step] = source
            store.write(result, draft.folder)
            digest = untuned_sha256(evidence.model, evidence.build)
            draft.facts |= TuneFacts(
                deploy=result.deploy,
                setting=result.setting,
                router=result.router,
                model_sha256=digest,
            ).to_json()
    return result


def _problem(evidence: Evidence, made: Costs, options: TuneOptions) -> Problem:
    """What is to be solved; raises the reason where a target's cost is not known."""
    for target in options.targets:
        if target.metric.name in made.missing and target.metric.name not in made.known:
            error = made.missing[target.metric.name]
            raise InputError(error.message, error.hint, key=target.metric.title)
    return Problem(
        evidence.outcomes,
        (options.router or _deployed_router(evidence),),
        made.known,
        options.costs.setting,
        options.guarantee,
        options.confidence,
        options.strict,
    )


def _deployed_router(evidence: Evidence) -> str:
    """The router that the model decides with at reset; the first it has where it has none set."""
    deployed = (evidence.model.file.metadata or {}).get("deployed") or {}
    name = mechanisms.router_name(deployed.get("router", mechanisms.NONE_ID))
    if name in evidence.outcomes.scores:
        return name
    if not evidence.outcomes.scores:
        raise InputError(
            "the model has no router: there is no threshold to choose",
            "train and export one: mcu-hybrid train, mcu-hybrid export",
            path=evidence.source,
        )
    return next(iter(evidence.outcomes.scores))


def apply_route(build: Build, rule: Rule, *, port: str = "", probe: str = "") -> Applied:
    """Set router and threshold on the running board and read them back; until its next reset.

    Raises:
        BoardError: another board answers there.
        LinkError: no board answers, or a virtual one is not running.
        ProtocolError: it runs another build, or does not keep what it was told.
    """
    number, url = mechanisms.router_id(rule.mechanism), running_url(build.board, port, probe)
    with Device.open(url, build_id=build.image.build_id) as device:
        before = device.get_route()
        device.set_route(number, rule.threshold)
        got = device.get_route()
    if (got.router, got.threshold) != (number, rule.threshold):
        raise ProtocolError(
            f"the board at {url} has {got} after it was set to {rule.mechanism} at "
            f"{rule.threshold}",
            "flash it again: mcu-hybrid flash DIR",
        )
    return Applied(
        url=url,
        router=rule.mechanism,
        threshold=got.threshold,
        before=RouteFacts(router=int(before.router), threshold=before.threshold),
    )


def _result(
    evidence: Evidence,
    made: Costs,
    problem: Problem,
    solution: Solution,
    targets: Sequence[Target],
) -> TuneResult:
    test = _on_test(evidence, problem, solution)
    (rule,) = solution.cascade.rules
    return TuneResult(
        setting=problem.setting,
        router=rule.mechanism,
        threshold=rule.threshold,
        coverage=solution.coverage,
        accuracy_of=ACCURACY_OF[problem.setting],
        targets=tuple(_row(target, problem, solution, test) for target in targets),
        expected=_estimated(solution.estimates),
        test=_estimated(test) if test else None,
        guarantee=problem.guarantee,
        confidence=problem.confidence,
        strict=problem.strict,
        calibration_samples=evidence.outcomes.count,
        test_samples=evidence.test.count if evidence.test else 0,
        answers_of=evidence.outcomes.basis,
        costs={name: _cost_facts(cost) for name, cost in made.known.items()},
        basis=made.basis,
        notes=(
            *evidence.notes,
            *made.notes,
            *_ends(problem, solution, targets),
            *solution.notes,
        ),
        warnings=tuple(evidence.warnings),
        curve=_curve(problem, rule),
        board=evidence.board.name if evidence.board else None,
        build_id=evidence.build.image.build_id if evidence.build else None,
        deploy=Deployed(
            router=mechanisms.router_id(rule.mechanism),
            threshold=rule.threshold,
            coverage=solution.coverage,
        ),
        applied=None,
    )


def _curve(problem: Problem, rule: Rule) -> dict[str, tuple[float, ...]]:
    found = curve(problem.outcomes, rule.mechanism, problem.costs, problem.setting, _CURVE_POINTS)
    return {name: tuple(values) for name, values in found.items()}


def _cost_facts(cost: Cost) -> CostFacts:
    """Plain data; an estimated edge has its range."""
    ends = cost.edge_range
    return CostFacts(
        unit=cost.unit,
        edge=cost.edge,
        query=cost.mean_query,
        range=None if ends is None else EdgeRange(edge_low=ends[0], edge_high=ends[1]),
    )


def _ends(problem: Problem, solution: Solution, targets: Sequence[Target]) -> list[str]:
    """Targets that the estimate meets, and the upper end of its range would not."""
    notes = []
    for target in targets:
        metric = target.metric
        cost = problem.costs.get(metric.name)
        value = solution.estimates[metric.name].value
        if cost is None or cost.edge_range is None or value is None:
            continue
        worst = value + cost.edge_range[1] - cost.edge
        if worst > target.value >= value:
            notes.append(
                f"{target.text()} holds for the estimate; at the upper end of its range the mean "
                f"would be {metric.text(worst)}"
            )
    return notes


def _row(
    target: Target,
    problem: Problem,
    solution: Solution,
    test: Mapping[str, Estimate] | None,
) -> TargetRow:
    """A target; ``least_coverage`` is that of a budget by its formula, whatever the scores."""
    name = target.metric.name
    least = None if target.metric.is_minimum else problem.cost(name).coverage_for(target.value)
    return TargetRow(
        metric=name,
        title=target.metric.title,
        unit=target.metric.unit,
        is_minimum=target.metric.is_minimum,
        bound=target.value,
        text=target.text(),
        expected=_estimated(solution.estimates)[name],
        test=_estimated(test)[name] if test else None,
        least_coverage=least,
        guarantee=solution.guarantees[name],
    )


def _on_test(
    evidence: Evidence, problem: Problem, solution: Solution
) -> dict[str, Estimate] | None:
    """What the threshold does on the test split of a run, which had no say in choosing it."""
    if evidence.test is None or not set(problem.routers) <= set(evidence.test.scores):
        return None
    costs = {name: _constant(cost) for name, cost in problem.costs.items()}
    return measure(evidence.test, solution.cascade, costs, problem.setting)


def _constant(cost: Cost) -> Cost:
    """With the calibration images' mean query: payloads of other images were not measured."""
    return replace(cost, query=cost.mean_query)


def _estimated(estimates: Mapping[str, Estimate]) -> dict[str, Estimated]:
    return {name: Estimated(**vars(estimate)) for name, estimate in estimates.items()}
