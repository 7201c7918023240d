"""AWS FIS, which the emulator does not have."""

from rehearsal.deploy.resources.model import Call, ResourceType, Template, not_created, words

RESOURCE_TYPES = {
    "aws:fis/experimentTemplate:ExperimentTemplate": ResourceType(
        "fis", Call(not_created, {"tags": "tags"}), id=Template("EXT-{region}"),
        provider_only=words("actions description experimentOptions roleArn stopConditions targets")),
}
