"""IAM."""

from rehearsal.deploy.resources.model import Call, ResourceType, Template, tagging, words

RESOURCE_TYPES = {
    "aws:iam/role:Role": ResourceType(
        "iam", Call("create_role"), renames={"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument"},
        name_input="name", id="in.name", outputs={"arn": "out.Role.Arn"}, listings={"list_roles": "Roles[].RoleName"},
        read=(Call("get_role"),), found="out.Role", held={"assumeRolePolicy": "found.AssumeRolePolicyDocument"},
        replace=words("name"), update={
            "assumeRolePolicy": (Call("update_assume_role_policy", {"PolicyDocument": "in.assumeRolePolicy"}),),
            "description": (Call("update_role"),), **tagging("tag_role", "untag_role")},
        delete=(Call("delete_role"),)),
    "aws:iam/rolePolicy:RolePolicy": ResourceType(
        "iam", Call("put_role_policy"), renames={"name": "PolicyName", "policy": "PolicyDocument", "role": "RoleName"},
        name_input="name", id=Template("{in[role]}:{in[name]}"), read=(Call("get_role_policy"),), put=True,
        replace=words("name role"), delete=(Call("delete_role_policy"),)),
}
