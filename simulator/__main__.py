"""`python -m simulator`: hunt over many seeds with every core, or replay one."""
import os
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from typing import Annotated

import typer

from simulator.run import Result, draw, play, shrink


def history(job: tuple[int, str]) -> Result:
    """One seed."""
    seed, mix = job
    return play(seed, draw(seed, mix))


def main(
    seeds: Annotated[int, typer.Option(help="How many histories.")] = 200,
    first: Annotated[int, typer.Option(help="The first seed; otherwise a fresh one.")] = -1,
    seed: Annotated[int, typer.Option(help="Replay this one, with its trace.")] = -1,
    mix: Annotated[str, typer.Option(help="Only this mix.")] = "",
    smaller: Annotated[bool, typer.Option("--shrink", help="Shrink the replayed history.")] = False,
) -> None:
    """Hunt for violations. Exit code 1 if there are any."""
    if seed >= 0:
        plan = draw(seed, mix)
        result = play(seed, plan, traced=True)
        if smaller and result.violations:
            plan = shrink(seed, plan, result.violations[0].rule)
            result = play(seed, plan, traced=True)
        print("\n".join([f"seed {seed}", str(plan), *result.trace, *map(str, result.violations)]))
        raise typer.Exit(1 if result.violations else 0)
    start = first if first >= 0 else int(time.time()) % 10_000_000 * 1000
    began, seconds = time.monotonic(), 0.0
    faults, states, rules = Counter[str](), Counter[str](), dict[tuple[str, str], list[int]]()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        jobs = [(start + number, mix) for number, _ in zip(count(), range(seeds), strict=False)]
        for result in pool.map(history, jobs, chunksize=4):
            seconds += result.seconds
            faults += result.faults
            states += result.states
            for violation in result.violations:
                rules.setdefault((result.plan.mix, violation.rule), []).append(result.seed)
    took = time.monotonic() - began
    print(f"{seeds} histories from seed {start}: {seconds / 60:.0f} virtual minutes in {took:.1f} s, "
          f"{seconds / 60 / took:.0f} a second")
    print("faults: " + ", ".join(f"{name} {number}" for name, number in faults.most_common()))
    print("states: " + ", ".join(f"{name} {number}" for name, number in states.most_common()))
    for (name, rule), found in sorted(rules.items()):
        print(f"  {name}: {rule}: {len(found)} histories, such as seed {found[0]}")
    raise typer.Exit(1 if rules else 0)


if __name__ == "__main__":
    typer.run(main)
