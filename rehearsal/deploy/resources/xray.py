"""X-Ray, which the emulator lacks."""

from rehearsal.deploy.resources.model import Call, ResourceType, not_created

RESOURCE_TYPES = {
    "aws:xray/samplingRule:SamplingRule": ResourceType(
        "xray", Call(not_created, {"tags": "tags"}), name_input="ruleName", id="in.ruleName", provider_only=frozenset({
            "version", "priority", "serviceType", "serviceName", "resourceArn", "host", "httpMethod", "urlPath",
            "reservoirSize", "fixedRate"})),
}
