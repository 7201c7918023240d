"""`python -m simulator`: hunt with every core, replay a seed, play a fixed set as a gate, or find every mutant."""
import time
from concurrent.futures import Executor
from typing import Annotated

import typer

from simulator import mutants
from simulator.hunt import FIXED, LONG, HuntFindings, describe, fixed_set, hunt, shortest, workers
from simulator.known import KNOWN, KnownViolations
from simulator.mixes import MIXES
from simulator.run import draw, play, shrink


def replay(seed: int, mix: str, *, smaller: bool) -> int:
    """Play one seed and print its trace. Returns the exit code."""
    plan = draw(seed, mix)
    result = play(seed, plan, traced=True)
    if smaller and result.violations:
        result = play(seed, shrink(seed, plan, result.violations[0].rule), traced=True)
    print(describe(result))
    return 1 if result.violations else 0


def report(findings: HuntFindings, known: KnownViolations, pool: Executor, *, gate: bool, proof: bool = False) -> int:
    """Print what was found, and a short trace of all that is not known. Returns the exit code.

    `gate`: what is known must show on its seeds; `proof`: nothing may be known, since nothing is left to be fixed.
    """
    print("\n".join(findings.lines(known)))
    new, gone = findings.unknown(known), findings.gone(known) if gate else []
    for trace in pool.map(shortest, [(findings.broken[key][0], *key) for key in new]):
        print(f"\n{trace}")
    for mix, rule in gone:
        seed, _ = known[mix, rule]
        print(f"{mix}: {rule}: is known, but seed {seed} shows it no more: name another seed, or take it out")
    for (mix, rule), (_, issue) in known.items() if proof else ():
        print(f"{mix}: {rule}: is listed as known (issue {issue}), and a proof needs that nothing is")
    return 1 if new or gone or (proof and known) else 0


def prove_mutants(pool: Executor, *, search: bool) -> int:
    """Play every mutant from its seed, after looking for all seeds again if asked to. Returns the exit code."""
    if search:
        seeds = {}
        for name, seed in mutants.searched(pool):
            print(f"{name}: {f'seed {seed}' if seed else f'not found in {mutants.MOST} histories'}", flush=True)
            seeds[name] = seed
        mutants.save(seeds)
    code = 0
    for line, found in mutants.prove(mutants.load(), pool):
        print(line, flush=True)
        code = code if found else 1
    return code


def main(
    seeds: Annotated[int, typer.Option(min=1, help="How many histories.")] = 200,
    first: Annotated[int, typer.Option(help="The first seed; otherwise a fresh one.")] = -1,
    seed: Annotated[int, typer.Option(help="Replay this one, with its trace.")] = -1,
    mix: Annotated[str, typer.Option(help=f"Only this mix: {', '.join(sorted(MIXES))}.")] = "",
    *,
    smaller: Annotated[bool, typer.Option("--shrink", help="Shrink the replayed history.")] = False,
    fixed: Annotated[bool, typer.Option("--fixed", help="The fixed set of the gate.")] = False,
    long: Annotated[bool, typer.Option("--long", help="The long fixed set.")] = False,
    broken: Annotated[bool, typer.Option("--mutants", help="Whether every mutant of the product is found.")] = False,
    search: Annotated[bool, typer.Option("--search", help="Look for the seeds of mutants again.")] = False,
) -> None:
    """Hunt for violations. Exit code 1 if there are any that are not known, or a known one that is gone."""
    if mix and mix not in MIXES:
        raise typer.BadParameter(f"{mix}: must be one of {', '.join(sorted(MIXES))}")
    if seed >= 0:
        raise typer.Exit(replay(seed, mix, smaller=smaller))
    if broken:
        with workers() as pool:
            raise typer.Exit(prove_mutants(pool, search=search))
    start = first if first >= 0 else int(time.time()) % 10_000_000 * 1000
    gate = fixed or long
    jobs = fixed_set(KNOWN, LONG if long else FIXED) if gate else [(start + number, mix) for number in range(seeds)]
    with workers() as pool:
        code = report(hunt(jobs, pool), KNOWN, pool, gate=gate, proof=long)
    raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(main)
