"""The outputs, and the names in them."""
import json
import re
from itertools import chain
from typing import Any

from contract import ROLES
from tests.integration.stack import EMULATED, Outputs, Region, Secret

ROLE_WORDS = {"primary", "secondary", "dr", "standby", "active", "passive", "writer", "reader"}
NAMES = ("function_name", "function_role_name", "cluster_id", "receipts_bucket", "control_bucket", "logs_bucket",
         "topic_arn", "dashboard_name", "backup_vault_name", "flow_log_group", "function_log_group",
         "controller_function_name")


def without_role(outputs: Outputs, role: str) -> set[str]:
    """The keys of one role's outputs, without the role."""
    return {key.removeprefix(f"{role}_") for key in outputs if key.startswith(f"{role}_")}


def test_every_output_is_filled_in_unless_dns_is_off(outputs: Outputs) -> None:
    empty = {key for key, value in outputs.items() if value in ("", [], None)}
    pauses = {f"{role}_pauses_template_id" for role in ROLES}  # where replicationPauses is on
    assert empty & pauses in (set(), pauses)
    empty -= pauses
    if outputs["table_consistency"] == "eventual":
        empty -= {"witness_region"}
    if outputs["dns"] == "on":
        # An existing zone has no output of name servers; alarms on health exist only where Route 53 publishes it.
        empty -= {"name_servers"}
        if "us-east-1" not in (outputs["primary_region"], outputs["dr_region"]):
            empty -= {"health_alarm_names"}
        assert empty == set()
    else:
        assert empty == {"domain_name", "service_url", "hosted_zone_id", "name_servers", "health_alarm_names",
                         "failover_health_check_id", *(f"{role}_{key}" for role in ROLES for key in (
                             "host_name", "health_check_id", "takeover_health_check_id"))}


def test_both_regions_have_the_same_outputs(outputs: Outputs) -> None:
    assert without_role(outputs, "primary") == without_role(outputs, "dr")


def test_what_is_regional_names_its_region(region: Region) -> None:
    arns = [value for key, value in region.outputs.items()
            if key.startswith(f"{region.role}_") and str(value).startswith("arn:")]
    assert arns
    assert {arn.split(":")[3] for arn in arns} == {region.name}
    assert region["api_endpoint"].startswith("http" if EMULATED else "https://")


def test_no_output_is_secret(outputs: Outputs, api_key: Secret) -> None:
    login = Secret(Region("primary", outputs).client("secretsmanager").get_secret_value(
        SecretId=outputs["database_secret_arn"])["SecretString"])
    text = json.dumps(outputs)
    exposed = {"API key": api_key.shown_in(text), "database password": login.member("password").shown_in(text)}
    assert exposed == {"API key": False, "database password": False}
    suspicious = re.compile("password|token|private|credential|secret(?!_arn$)")
    assert [key for key in outputs if suspicious.search(key)] == []


def test_names_carry_the_suffix_and_no_role(region: Region) -> None:
    outputs, suffix = region.outputs, region.outputs["environment_suffix"]
    names: list[Any] = [outputs["payments_table_name"], outputs["global_cluster_id"], *region["alarm_names"],
                        *(region[key] for key in NAMES)]
    whole = re.compile(rf"(?<![a-z0-9]){re.escape(suffix)}(?![a-z0-9])")
    assert [name for name in names if not whole.search(name)] == []
    words = chain.from_iterable(re.split("[^a-z0-9]+", whole.sub("", name)) for name in names)
    assert set(words) & ROLE_WORDS == set(), "after a failover it would be wrong"
