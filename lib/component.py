"""The base of every component of the stack: parent and options of its children."""
from collections.abc import Mapping
from typing import Any, ClassVar

import pulumi
import pulumi_aws as aws

from lib import policies

GET_RESOURCE = "pulumi:pulumi:getResource"  # what the engine knows of a resource that it has registered

# What a release replaces or removes. The first four only watch; AWS refuses to delete the others while they are used.
REPLACED_BY_RELEASES = frozenset({
    "aws:acm/certificateValidation:CertificateValidation", "aws:cloudwatch/dashboard:Dashboard",
    "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:sns/topicSubscription:TopicSubscription",
    "aws:apigateway/deployment:Deployment", "aws:rds/clusterParameterGroup:ClusterParameterGroup",
})


def protecting(*, protect: bool) -> pulumi.ResourceOptions:
    """Options of the root: with `protect` it and everything in it, except what releases replace, cannot be deleted."""
    def release(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if args.type_ not in REPLACED_BY_RELEASES:
            return None
        return pulumi.ResourceTransformationResult(args.props, pulumi.ResourceOptions.merge(
            args.opts, pulumi.ResourceOptions(protect=False)))

    return pulumi.ResourceOptions(protect=protect, transformations=[release])


class Component(pulumi.ComponentResource):
    """A group of resources that inherit their parent's provider, and so its region.

    Children take their options from `opts` or `durable`, which set the parent: without it a resource would use the
    default provider, whatever region that has. They are protected if the root is, but for `REPLACED_BY_RELEASES`.

    `type_name` is explicit, because it is part of each child's URN: renaming a class must never replace a database.
    """

    _type_name: ClassVar[str]

    def __init_subclass__(cls, *, type_name: str) -> None:
        super().__init_subclass__()
        cls._type_name = type_name

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"tapstack:index:{self._type_name}", name, None, opts)
        self.name = name

    def earlier_outputs(self) -> Mapping[str, Any]:
        """The outputs that the last deployment registered, none in the first one; before new ones are registered.

        The engine has them from the stack's state: neither region is called.
        """
        found: Mapping[str, Any] = pulumi.runtime.invoke(GET_RESOURCE, {"urn": self.urn}).value["state"]
        return found

    def opts(self, **overrides: Any) -> pulumi.ResourceOptions:
        """Options of a child that can be created again at any time.

        Physical names are fixed, so a replacement must delete before it creates, unless `delete_before_replace`
        is overridden for a resource that others use meanwhile.
        """
        return pulumi.ResourceOptions(parent=self, **{"delete_before_replace": True, **overrides})

    def role(self, key: str, name: str, trust: pulumi.Output[str], purpose: str,
             *statements: policies.Statement) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        """A role that a service may assume by `trust`, and its only policy; `key` tells it from others of this."""
        found = aws.iam.Role(f"{self.name}{key}-role", name=name, assume_role_policy=trust, opts=self.opts())
        return found, aws.iam.RolePolicy(f"{self.name}{key}-policy", role=found.id, name=purpose, opts=self.opts(),
                                         policy=policies.document(*statements))

    def durable(self, *, retain: bool = False, **overrides: Any) -> pulumi.ResourceOptions:
        """Options of a child with data: never deleted before it is replaced, and with `retain` not by a destroy."""
        return pulumi.ResourceOptions(parent=self, retain_on_delete=retain, **overrides)
