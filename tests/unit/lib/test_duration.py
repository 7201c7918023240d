"""How long a creation and a deletion take at least: the longest chain of resources that wait for each other.

`python -m tests.unit.lib.test_duration` prints the chains and the modelled times of docs/deployment.md.
"""
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.unit.lib.conftest import CASES, recording
from tests.unit.lib.recorder import Recording, Resource
from tests.unit.lib.resource_types import short

DATA = tomllib.loads(Path(__file__).with_name("durations.toml").read_text(encoding="utf-8"))
SECONDS: Mapping[str, Mapping[str, float]] = {what: DATA[what] for what in ("create", "delete")}
DEPLOYMENT = Path(__file__).parents[3] / "docs" / "deployment.md"
# What AWS forces, in this order: a cluster needs a network and its subnet group, a reader the writer's first instance.
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-getting-started.html
FORCED = ["ec2.Vpc", "ec2.Subnet", "rds.SubnetGroup", "rds.Cluster", "rds.ClusterInstance", "rds.Cluster",
          "rds.ClusterInstance"]
PROFILES = {"dev": "dev", "prod": "prod"}


def seconds(resource: Resource, what: str) -> float:
    """How long AWS takes for one resource."""
    return SECONDS[what].get(short(resource), SECONDS[what]["else"])


def longest(program: Recording, what: str) -> tuple[float, list[Resource]]:
    """The chain that takes longest, in the order of creation, and its seconds; a deletion goes the other way."""
    custom = {resource.urn: resource for resource in program.custom}

    @cache
    def chain(urn: str) -> tuple[float, list[Resource]]:
        took, before = max((chain(each) for each in custom[urn].waits_for if each in custom),
                           key=lambda found: found[0], default=(0.0, []))
        return took + seconds(custom[urn], what), [*before, custom[urn]]

    return max((chain(urn) for urn in custom), key=lambda found: found[0])


def minutes(case: str, what: str) -> int:
    """The modelled time of a case; while Lambda releases its interfaces, the rest is deleted."""
    interfaces = sum(SECONDS["delete"].get(kind, SECONDS["delete"]["else"]) for kind in (
        "lambda.Function", "ec2.Subnet", "ec2.Vpc")) + DATA["interfaces"]
    return round(max(longest(recording(case), what)[0], interfaces if what == "delete" else 0) / 60)


@pytest.mark.parametrize("case", ["dev", "prod", "prod-released-domain-zone-europe"])
def test_the_longest_chain_of_creation_is_what_aws_forces(case: str) -> None:
    _, chain = longest(recording(case), "create")
    assert [short(resource) for resource in chain] == FORCED, [resource.name for resource in chain]


def test_every_duration_is_of_a_type_of_the_program() -> None:
    types = {short(resource) for case in CASES for resource in recording(case).custom}
    for durations in SECONDS.values():
        assert durations.keys() - types == {"else"}


def test_a_dependency_that_aws_does_not_force_is_found() -> None:
    program = recording("dev")
    reader, bucket = program.one("Cluster", "-dr-"), program.of("Bucket")[0]
    changed = {bucket.urn: replace(bucket, dependencies=reader.dependencies),
               reader.urn: replace(reader, dependencies=reader.dependencies | {bucket.urn})}
    _, chain = longest(replace(program, resources={**program.resources, **changed}), "create")
    assert [short(resource) for resource in chain] == [*FORCED[:5], "s3.Bucket", *FORCED[5:]]


def test_the_documentation_gives_the_modelled_times() -> None:
    text = DEPLOYMENT.read_text(encoding="utf-8")
    for profile, case in PROFILES.items():
        assert f"| `{profile}` | {minutes(case, 'create')} min | {minutes(case, 'delete')} min |" in text


if __name__ == "__main__":
    for name, recorded in PROFILES.items():
        for direction in SECONDS:
            took, path = longest(recording(recorded), direction)
            sys.stdout.write(f"{name}: {direction} {took:.0f} s, {minutes(recorded, direction)} min\n")
            sys.stdout.writelines(f"  {seconds(link, direction):5.0f}  {short(link)}  {link.name}\n" for link in path)
