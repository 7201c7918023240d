"""IAM."""

from collections.abc import Mapping

from rehearsal.deploy.resources.model import BotoCall, Listing, ResourceType, Template

RESOURCE_TYPES: Mapping[str, ResourceType] = {
    "aws:iam/role:Role": ResourceType(
        service="iam", create=BotoCall("create_role"),
        renames={"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument"}, named="name", id="in.name",
        outputs={"arn": "out.Role.Arn", "uniqueId": "out.Role.RoleId"},
        listed=(Listing("list_roles", "Roles[].RoleName"),), delete=(BotoCall("delete_role", {"RoleName": "id"}),)),
    "aws:iam/rolePolicy:RolePolicy": ResourceType(
        service="iam", create=BotoCall("put_role_policy"),
        renames={"name": "PolicyName", "policy": "PolicyDocument", "role": "RoleName"}, named="name",
        id=Template("{in[role]}:{in[name]}"),
        delete=(BotoCall("delete_role_policy", {"RoleName": "in.role", "PolicyName": "in.name"}),)),
}
