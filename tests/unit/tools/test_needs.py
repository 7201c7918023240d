"""What a stack needs follows from its settings, and is what the program creates."""
import io
import json
from collections import Counter
from pathlib import Path

import pytest
from pulumi.runtime import set_all_config

from lib.settings import Settings
from recovery.doctor.needs import Needs
from tests.unit.lib import recorder
from tests.unit.lib.conftest import CASES, recording
from tools.needs import main, needs_of

ROOT = Path(__file__).parents[3]


def needed(case: str) -> Needs:
    """The needs of a recorded case."""
    keys = {"account": recorder.ACCOUNT, "environmentSuffix": "dev", **CASES[case]}
    set_all_config({f"{recorder.PROJECT}:{key}": value for key, value in keys.items()})
    return needs_of(Settings.load())


@pytest.mark.parametrize("case", CASES)
def test_they_are_what_the_program_creates(case: str) -> None:
    needs, program = needed(case), recording(case)
    assert needs.account == recorder.ACCOUNT
    kinds = Counter(resource.kind for resource in program)
    assert kinds["HealthCheck"] == needs.health_checks
    assert kinds["DomainName"] == 2 * needs.custom_domains
    assert kinds["Vpc"] == kinds["RestApi"] == len(needs.regions)
    assert kinds["VpcEndpoint"] == kinds["SamplingRule"] == 2 * len(needs.regions)
    assert kinds["WebAcl"] == needs.firewall * len(needs.regions)
    assert bool(kinds["Account"]) is needs.owns_log_role
    assert kinds["Secret"] == bool(needs.regions[0].secret)
    for region in needs.regions:
        here = [each for each in program.custom
                if each.type.startswith("aws:") and program.region(each) == region.region]

        def names(kind: str, key: str, here: list[recorder.Resource] = here) -> set[str]:
            return {each.inputs[key] for each in here if each.kind == kind and key in each.inputs}

        assert names("LogGroup", "name") == set(region.log_groups)
        assert names("Bucket", "bucket") == set(region.buckets)
        assert names("Cluster", "finalSnapshotIdentifier") == {region.final_snapshot} - {""}
        assert names("Subnet", "availabilityZone") == set(region.zones)
        assert names("Secret", "name") <= {region.secret}
        assert names("Vault", "name") == {region.vault}
        assert names("Role", "name") <= set(region.roles.values())
        assert not needs.owns_log_role or region.log_role in names("Role", "name")
        kinds = Counter(each.kind for each in here)
        assert region.database_quotas == {
            "DBClusters": kinds["Cluster"], "DBInstances": kinds["ClusterInstance"],
            "DBSubnetGroups": kinds["SubnetGroup"], "DBClusterParameterGroups": kinds["ClusterParameterGroup"]}
        functions = [each.inputs for each in here if each.kind == "Function"]
        assert {each["reservedConcurrentExecutions"] for each in functions} == {-1, needs.reserved or -1}
        assert needs.function in {each["name"] for each in functions}
        for cluster in (each.inputs for each in here if each.kind == "Cluster"):
            assert (cluster["engine"], cluster["engineVersion"]) == (needs.engine, needs.engine_version)
        assert names("ClusterInstance", "instanceClass") <= {needs.instance_class}


def test_the_stacks_file_is_read_and_the_needs_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("local", ROOT) == 0
    needs = Needs.read(io.StringIO(capsys.readouterr().out))
    assert (needs.emulated, needs.domain_name) == (True, "pay.example.test")


@pytest.mark.parametrize(("content", "message"), [
    (None, "[Errno 2] No such file or directory: "), ("[]", "Pulumi.tea.yaml: is not the file of a stack"),
    ("config: [", "Pulumi.tea.yaml: is not the file of a stack"), ("config:", "Pulumi.tea.yaml: is not the file of a"),
    ('config: {TapStack:account: "123456789012", TapStack:drRegion: mars}', "drRegion = 'mars': must be a region")])
def test_what_cannot_be_used_is_one_line(tmp_path: Path, content: str | None, message: str,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    if content:
        (tmp_path / "Pulumi.tea.yaml").write_text(content, encoding="utf-8")
    assert main("tea", tmp_path) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"needs: {message}")
    assert printed.err.count("\n") == 1


def test_the_json_has_no_secret() -> None:
    assert "password" not in json.dumps(vars(needed("prod")), default=vars)
