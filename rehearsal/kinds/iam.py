"""IAM."""

from collections.abc import Mapping

from rehearsal.kinds.model import Call, Kind, Listing, Text

KINDS: Mapping[str, Kind] = {
    "aws:iam/role:Role": Kind(
        service="iam", create=Call("create_role"),
        renames={"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument"}, named="name", id="in.name",
        outputs={"arn": "out.Role.Arn", "uniqueId": "out.Role.RoleId"},
        listed=(Listing("list_roles", "Roles[].RoleName"),), delete=(Call("delete_role", {"RoleName": "id"}),)),
    "aws:iam/rolePolicy:RolePolicy": Kind(
        service="iam", create=Call("put_role_policy"),
        renames={"name": "PolicyName", "policy": "PolicyDocument", "role": "RoleName"}, named="name",
        id=Text("{in[role]}:{in[name]}"),
        delete=(Call("delete_role_policy", {"RoleName": "in.role", "PolicyName": "in.name"}),)),
}
