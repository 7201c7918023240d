"""The stack's outputs: one flat mapping that tests, rehearsal and recovery read. None is a secret."""
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from contract import CHECK_PATH_KEY, DEFAULT_CLIENT, OUTPUTS_KEY, RECOVERY_OUTPUTS, ROLES
from lib.global_foundation import GlobalFoundation
from lib.global_resources import GlobalResources
from lib.region.region import Region
from lib.settings import Settings
from lib.shared.copies import Copies

Outputs = Mapping[str, pulumi.Input[object]]
NO_DOMAIN = "off: domainName is not set"


def catalogue(settings: Settings, foundation: GlobalFoundation, primary: Region, standby: Region,
              shared: GlobalResources) -> Outputs:
    """Every output by its name, except those of the controllers, which are created from these.

    Without a domain the names and checks of DNS are empty strings, and `dns` says why.
    """
    return {
        **settings.outputs(),
        "stack_name": pulumi.get_stack(),
        "payments_table_name": shared.table.table.name,
        "payments_table_arn": shared.table.table.arn,
        "global_cluster_id": foundation.cluster.id,
        "global_cluster_endpoint": foundation.cluster.endpoint,
        "database_secret_arn": shared.secret_arn,
        **_dns(settings, shared),
        "least_connections": settings.database.least_connections,
        **_region("primary", primary, shared.outbound),
        **_region("dr", standby, shared.inbound),
    }


def description(outputs: Outputs) -> pulumi.Output[str]:
    """The outputs that recovery reads, as a JSON object: all that a controller knows about the stack."""
    return pulumi.Output.json_dumps({key: outputs[key] for key in RECOVERY_OUTPUTS}, separators=(",", ":"))


def keep(outputs: Outputs, *regions: Region) -> None:
    """Keep the outputs in each region's control bucket, where recovery finds them with credentials alone.

    The secret path of health checks is no output, and is kept next to them once both regions serve it. S3 takes at most
    10 tags for an object, fewer than a stack may have, so these have none.
    """
    stages = [region.api.stage for region in regions]
    document = pulumi.Output.json_dumps(outputs, indent=2, sort_keys=True)
    for region in regions:
        for key, content in ((OUTPUTS_KEY, document), (CHECK_PATH_KEY, region.api.checks[-1].segment)):
            aws.s3.BucketObjectv2(
                f"{region.name}-{key.removesuffix('.json')}", bucket=region.control.bucket.id, key=key,
                kms_key_id=region.key.arn, content=content, force_destroy=True,
                content_type="application/json" if key == OUTPUTS_KEY else "text/plain",
                override_provider={"default_tags": {"tags": {}}},
                opts=region.opts(depends_on=[region.control, *stages]))


def _dns(settings: Settings, shared: GlobalResources) -> Outputs:
    dns = shared.dns
    return {
        "dns": "on" if dns else NO_DOMAIN,
        "service_url": f"https://{settings.domain_name}" if dns else "",
        "hosted_zone_id": dns.zone_id if dns else "",
        "name_servers": dns.name_servers if dns else [],
        "health_alarm_names": [alarm.name for alarm in dns.alarms] if dns else [],
        **{f"{check}_health_check_id": dns.checks[check].id if dns else ""
           for check in ("primary", "dr", "primary_takeover", "dr_takeover", "failover")},
        **{f"{role}_host_name": dns.domains[role].host if dns else "" for role in ROLES},
    }


def _region(role: str, region: Region, copies: Copies) -> Outputs:
    cluster, api, payments = region.database.cluster, region.api, region.functions["payments"]
    found: Outputs = {
        "region": region.names.region,
        "vpc_id": region.network.vpc.id,
        "vpc_cidr": region.network.vpc.cidr_block,
        "subnet_ids": region.network.subnet_ids,
        "key_arn": region.key.arn,
        "instances": len(region.database.instances),
        "cluster_id": cluster.id,
        "cluster_arn": cluster.arn,
        "cluster_endpoint": cluster.endpoint,
        "cluster_reader_endpoint": cluster.reader_endpoint,
        "cluster_port": cluster.port,
        "function_name": payments.function.name,
        "function_alias_arn": payments.alias.arn,
        "function_role_name": payments.runs_as.name,
        "migrate_function_name": region.functions["migrate"].function.name,
        "reconcile_function_name": region.functions["reconcile"].function.name,
        "controller_function_name": region.names.controller,
        "api_id": api.rest.id,
        "api_endpoint": api.stage.invoke_url,
        "api_key_id": next(made.id for key, made in reversed(api.keys.items()) if key.client == DEFAULT_CLIENT),
        "usage_plan_id": api.plans[DEFAULT_CLIENT].id,
        "client_api_key_ids": {f"{client}-{number}": made.id for (client, number), made in api.keys.items()},
        "receipts_bucket": region.receipts.bucket.id,
        "control_bucket": region.control.bucket.id,
        "logs_bucket": region.logs.bucket.id,
        "topic_arn": region.observability.topic.arn,
        "dashboard_name": region.observability.dashboard.dashboard_name,
        "backup_vault_name": region.vault.name,
        "backup_plan_id": copies.plan.id,
        "pauses_template_id": copies.pauses.template.id if copies.pauses else "",
        "flow_log_group": region.names.flow_logs,
        "function_log_group": payments.log_group,
        "alarm_names": [alarm.name for alarm in region.observability.alarms],
    }
    return {f"{role}_{key}": value for key, value in found.items()}
