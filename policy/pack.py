"""The rules as a Pulumi policy pack, for `pulumi preview --policy-pack policy`."""
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from contract import PROJECT
from policy.rules import RULES, UNKNOWN, Declared, DeclaredStack, ResourceRule, StackRule


def known(value: Any) -> Any:
    """A value of the pack without its proxies, which end a rule that reads what is unknown."""
    if isinstance(value, Mapping):
        return {key: _read(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_read(value, number) for number in range(len(value))]
    return value


def _read(container: Any, key: Any) -> Any:
    try:
        return known(container[key])
    except UnknownValueError:
        return UNKNOWN


def declared(resource: ResourceValidationArgs | PolicyResource) -> Declared:
    """A resource of the pack as the rules take it."""
    provider = known(resource.provider.props) if resource.provider else {}
    tags = json.loads(provider["defaultTags"])["tags"] if "defaultTags" in provider else None
    return Declared(
        urn=resource.urn, types=resource.urn.split("::")[2].split("$"), inputs=known(resource.props), tags=tags,
        region=provider.get("region", ""), protect=resource.opts.protect)


def resource_policy(rule: ResourceRule) -> ResourceValidationPolicy:
    """A rule about each resource, which sees what the program gives."""
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for line in rule.broken(declared(args)):
            report(line, None)

    return ResourceValidationPolicy(rule.name, rule.description, validate)


def stack_policy(rule: StackRule) -> StackValidationPolicy:
    """A rule about all resources, which sees what their providers have made of that."""
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        config = pulumi.Config(PROJECT)
        stack = DeclaredStack(resources=[declared(each) for each in args.resources],
                              config={"deletionProtection": config.get("deletionProtection") or ""})
        for urn, line in rule.broken(stack):
            report(line, urn)

    return StackValidationPolicy(rule.name, rule.description, validate)


if __name__ == "__main__":
    PolicyPack("tapstack", enforcement_level=EnforcementLevel.MANDATORY, policies=[
        resource_policy(rule) if isinstance(rule, ResourceRule) else stack_policy(rule) for rule in RULES])
