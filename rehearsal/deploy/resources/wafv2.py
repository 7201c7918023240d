"""AWS WAF, which the emulator stores and does not apply."""

from rehearsal.deploy.resources.model import Call, ResourceType, Template, not_created, words

RESOURCE_TYPES = {
    "aws:wafv2/webAcl:WebAcl": ResourceType(
        "wafv2", Call(not_created, {"tags": "tags"}), name_input="name", id="in.name",
        outputs={"arn": Template("arn:aws:wafv2:{region}:{account}:regional/webacl/{id}/1")},
        provider_only=words("defaultAction rules scope visibilityConfig")),
    "aws:wafv2/webAclAssociation:WebAclAssociation": ResourceType(
        "wafv2", Call(not_created), id=Template("{in[webAclArn]},{in[resourceArn]}")),
    "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration": ResourceType(
        "wafv2", Call(not_created), id="in.resourceArn",
        provider_only=words("logDestinationConfigs loggingFilter redactedFields")),
}
