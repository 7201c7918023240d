"""Pauses of the copies: off by default, the same both ways, and each may touch only what it pauses."""
from contract import ROLES
from tests.unit.lib.conftest import recording
from tests.unit.lib.recorder import Recording

CASE = "prod-released-domain-zone-europe"


def test_they_are_off_by_default(dev: Recording, prod: Recording) -> None:
    for program in (dev, prod):
        assert "ExperimentTemplate" not in {r.kind for r in program.custom}
        assert [program.outputs[f"{role}_pauses_template_id"] for role in ROLES] == ["", ""]
        assert not any("tags" in each.inputs for each in program.of("Bucket"))


def test_each_region_pauses_what_leaves_it_for_an_hour_at_most() -> None:
    program = recording(CASE)
    regions = [program.outputs[f"{role}_region"] for role in ROLES]
    templates = {program.region(r): r for r in program.of("ExperimentTemplate")}
    assert {program.outputs[f"{role}_pauses_template_id"] for role in ROLES} == {
        f"{r.name}-id" for r in templates.values()}
    buckets = {(program.region(r), *r.inputs["tags"].items()): r.inputs["bucket"] for r in program.of("Bucket")
               if "tags" in r.inputs}
    for here, there in (regions, regions[::-1]):
        inputs = templates[here].inputs
        table, receipts = inputs["targets"]
        name = program.outputs["payments_table_name"]
        assert table["resourceArns"] == [f"arn:aws:dynamodb:{here}:123456789012:table/{name}"]
        (tag,) = receipts["resourceTags"]
        # AWS finds buckets by their tags only: one bucket has this one.
        assert [name for (region, *tags), name in buckets.items() if (tag["key"], tag["value"]) in tags
                and region == here] == [tag["value"]]
        assert len({name for (_, *tags), name in buckets.items() if (tag["key"], tag["value"]) in tags}) == 1
        given = {each["name"]: {p["key"]: p["value"] for p in each["parameters"]} for each in inputs["actions"]}
        assert {each["duration"] for each in given.values()} == {"PT1H"}
        assert (given["receipts"]["region"], given["receipts"]["prefixes"]) == (there, "receipts/")
        assert given["receipts"]["destinationBuckets"] in buckets.values()
        assert given["receipts"]["destinationBuckets"] != tag["value"]
        assert inputs["experimentOptions"]["emptyTargetResolutionMode"] == "fail"
