"""IAM."""

from rehearsal.deploy.resources.model import Call, ResourceType, Template

RESOURCE_TYPES = {
    "aws:iam/role:Role": ResourceType(
        "iam", Call("create_role"), renames={"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument"},
        name_input="name", id="in.name", outputs={"arn": "out.Role.Arn"}, listings={"list_roles": "Roles[].RoleName"},
        delete=(Call("delete_role"),)),
    "aws:iam/rolePolicy:RolePolicy": ResourceType(
        "iam", Call("put_role_policy"), renames={"name": "PolicyName", "policy": "PolicyDocument", "role": "RoleName"},
        name_input="name", id=Template("{in[role]}:{in[name]}"), delete=(Call("delete_role_policy"),)),
}
