"""IAM."""

from rehearsal.deploy.resources.model import BotoCall, ResourceType, Template

RESOURCE_TYPES = {
    "aws:iam/role:Role": ResourceType(
        service="iam", create=BotoCall("create_role"),
        renames={"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument"}, name_input="name", id="in.name",
        outputs={"arn": "out.Role.Arn"}, listings={"list_roles": "Roles[].RoleName"},
        delete=(BotoCall("delete_role", {"RoleName": "id"}),)),
    "aws:iam/rolePolicy:RolePolicy": ResourceType(
        service="iam", create=BotoCall("put_role_policy"),
        renames={"name": "PolicyName", "policy": "PolicyDocument", "role": "RoleName"}, name_input="name",
        id=Template("{in[role]}:{in[name]}"),
        delete=(BotoCall("delete_role_policy", {"RoleName": "in.role", "PolicyName": "in.name"}),)),
}
