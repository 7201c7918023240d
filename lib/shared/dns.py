"""The service's name, and the records and health checks that move it from one region to the other.

Health checks and answers are Route 53's data plane. A failover changes nothing in Route 53: the lever is an object in
the control bucket of the region that takes over. That region's API shows it, and a health check watches it.
"""
from typing import Any

import pulumi
import pulumi_aws as aws

from contract import ALIVE, ALIVE_LABEL, DEAD, DNS_TTL, HEALTH_PATH, LEADS_LABEL, LEVER_PATH, ROLES
from lib.component import Component
from lib.region.alarms import AlarmSpec
from lib.region.region import Region
from lib.settings import Settings

METRICS_REGION = "us-east-1"
NORMALLY_UNHEALTHY = "primary_takeover"  # its lever is pulled only to take the traffic back


class RegionalDomain(Component, type_name="RegionalDomain"):
    """The names under which one region's API answers: the service's, and a host name of the region's own.

    A CNAME straight to the API's own host would fail on TLS and on the Host header. Health checks call the region's
    host, because a check of the service's name would follow the failover that it decides.
    """

    def __init__(self, name: str, *, region: Region, service: str, zone_id: pulumi.Input[str],
                 certificate: aws.acm.Certificate, proof: aws.route53.Record, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(provider=region.provider)))
        self.region = region
        self.host = f"{region.names.region}.{service}"
        self._valid = aws.acm.CertificateValidation(
            f"{name}-valid", certificate_arn=certificate.arn, validation_record_fqdns=[proof.fqdn],
            opts=self.opts(delete_before_replace=False))
        aws.route53.Record(f"{name}-host-record", zone_id=zone_id, name=self.host, type="A",
                           aliases=[alias(self._domain("host", self.host))], opts=self.opts())
        self.service = self._domain("service", service)
        self.register_outputs({"host": self.host})

    def _domain(self, key: str, domain: str) -> aws.apigateway.DomainName:
        api = self.region.api
        name = aws.apigateway.DomainName(
            f"{self.name}-{key}", domain_name=domain, regional_certificate_arn=self._valid.certificate_arn,
            security_policy="TLS_1_2", endpoint_configuration={"types": "REGIONAL"}, opts=self.opts())
        aws.apigateway.BasePathMapping(f"{self.name}-{key}-mapping", rest_api=api.rest.id,
                                       stage_name=api.stage.stage_name, domain_name=name.domain_name, opts=self.opts())
        return name


def alias(domain: aws.apigateway.DomainName) -> aws.route53.RecordAliasArgsDict:
    """An alias to a custom domain. Its target health is not evaluated: it fails only when all of API Gateway does."""
    return {"name": domain.regional_domain_name, "zone_id": domain.regional_zone_id, "evaluate_target_health": False}


def _label(key: str) -> str:
    return key.replace("_", "-")


class Dns(Component, type_name="Dns"):
    """Zone (new, or an existing one by id), certificates, host names, health checks and the failover records.

    The primary record is healthy while two of these three are: the primary region answers, the standby's lever is not
    pulled, the primary region's lever is pulled. The last needs the first, so the primary region must answer either
    way. A standby whose API is down cannot take over, because its inverted check is healthy. That also holds after a
    takeover: if its API goes down, the traffic returns to the primary region as soon as that one is healthy.
    """

    def __init__(self, name: str, *, service: str, settings: Settings, primary: Region, standby: Region,
                 opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        self._health, self._service = settings.health_check, service
        self.zone_id, self.name_servers = self._zone(settings)
        regions = {"primary": primary, "dr": standby}
        certificates = {role: self._certificate(role, region) for role, region in regions.items()}
        # Certificates of one name share one validation record, whatever their region, so it is created once.
        asked = certificates["primary"].domain_validation_options[0]
        proof = aws.route53.Record(
            f"{name}-validation", zone_id=self.zone_id, name=asked.resource_record_name,
            type=asked.resource_record_type, records=[asked.resource_record_value], ttl=60, allow_overwrite=True,
            opts=self.opts())
        self.domains = {
            role: RegionalDomain(f"{name}-{role}", region=region, service=self._service, zone_id=self.zone_id,
                                 certificate=certificates[role], proof=proof, opts=pulumi.ResourceOptions(parent=self))
            for role, region in regions.items()}
        self.checks = self._checks(self.domains["primary"], self.domains["dr"])
        self._failover("PRIMARY", self.domains["primary"], self.checks["failover"])
        self._failover("SECONDARY", self.domains["dr"], self.checks["dr"])
        for role in ROLES:
            self._liveness(role)
        self.alarms = self._alarms(primary, standby)
        self.register_outputs({"zone_id": self.zone_id})

    def _zone(self, settings: Settings) -> tuple[pulumi.Output[str], pulumi.Output[list[str]]]:
        """The zone's id, and its name servers if the zone is created here."""
        if settings.hosted_zone_id is not None:
            return pulumi.Output.from_input(settings.hosted_zone_id), pulumi.Output.from_input([])
        zone = aws.route53.Zone(
            f"{self.name}-zone", name=self._service, comment=f"TapStack {settings.environment_suffix}",
            force_destroy=not settings.profile.retain, opts=self.durable())
        servers: pulumi.Output[list[str]] = zone.name_servers.apply(list)
        # The certificates, and with them this deployment, wait until the name is delegated.
        servers.apply(lambda found: pulumi.log.info(f"delegate {self._service} to {', '.join(found)}", self))
        return zone.zone_id, servers

    def _certificate(self, role: str, region: Region) -> aws.acm.Certificate:
        """One wildcard for both hosts: it shares the validation record of the service's own name.

        Domain names keep using a certificate, so the next one must exist before the old one is deleted.
        """
        return aws.acm.Certificate(
            f"{self.name}-{role}-certificate", domain_name=self._service,
            subject_alternative_names=[f"*.{self._service}"], validation_method="DNS",
            opts=self.opts(provider=region.provider, delete_before_replace=False))

    def _failover(self, routing: str, domain: RegionalDomain, check: aws.route53.HealthCheck) -> None:
        """The service's record of a region, and one for the controllers, which names the region.

        The name servers answer by the verdict of all checkers.
        """
        region = domain.region.names.region
        failover: dict[str, Any] = {"set_identifier": region, "failover_routing_policies": [{"type": routing}],
                                    "health_check_id": check.id, "zone_id": self.zone_id, "opts": self.opts()}
        aws.route53.Record(f"{self.name}-{routing.lower()}", name=self._service, type="A",
                           aliases=[alias(domain.service)], **failover)
        aws.route53.Record(f"{self.name}-{routing.lower()}-leads", name=f"{LEADS_LABEL}.{self._service}", type="TXT",
                           records=[region], ttl=DNS_TTL, **failover)

    def _liveness(self, role: str) -> None:
        """Two records of one name: one while the check of a region's liveness is healthy, the other one otherwise."""
        for text, routing, check in ((ALIVE, "PRIMARY", self.checks[role].id), (DEAD, "SECONDARY", None)):
            aws.route53.Record(
                f"{self.name}-{role}-{routing.lower()}-alive", zone_id=self.zone_id, type="TXT", records=[text],
                name=f"{ALIVE_LABEL}.{self.domains[role].host}", ttl=DNS_TTL, set_identifier=text,
                health_check_id=check, failover_routing_policies=[{"type": routing}], opts=self.opts())

    def _checks(self, primary: RegionalDomain, standby: RegionalDomain) -> dict[str, aws.route53.HealthCheck]:
        """Liveness and lever of each region, and the calculation that decides the primary record."""
        threshold = self._health.threshold
        checks = {
            "primary": self._https("primary", primary, HEALTH_PATH, threshold),
            "dr": self._https("dr", standby, HEALTH_PATH, threshold),
            # A pulled lever is not a failure to be confirmed: it counts at once.
            "primary_takeover": self._https("primary_takeover", primary, LEVER_PATH, 1),
            "dr_takeover": self._https("dr_takeover", standby, LEVER_PATH, 1, invert=True),
        }
        checks["failover"] = aws.route53.HealthCheck(
            f"{self.name}-failover-check", type="CALCULATED", child_health_threshold=2,
            child_healthchecks=[checks[key].id for key in ("primary", "dr_takeover", "primary_takeover")],
            tags={"Name": f"{primary.region.names.network}-stays"}, opts=self.opts(delete_before_replace=False))
        return checks

    def _https(self, key: str, domain: RegionalDomain, path: str, threshold: int, *,
               invert: bool = False) -> aws.route53.HealthCheck:
        """A check of a region's host. A replacement is created first, since the records must always name a check."""
        names = domain.region.names
        return aws.route53.HealthCheck(
            f"{self.name}-{_label(key)}-check", type="HTTPS", fqdn=domain.host, port=443,
            resource_path=domain.region.api.checks[-1].paths[path],
            request_interval=self._health.interval, failure_threshold=threshold,
            measure_latency=path == HEALTH_PATH, invert_healthcheck=invert,
            tags={"Name": f"{names.network}-{names.region}-{path.strip('/')}"},
            # After the stage that serves the path: a check of another one would be unhealthy.
            opts=self.opts(delete_before_replace=False, depends_on=[domain.region.api.stage]))

    def _alarms(self, *regions: Region) -> list[aws.cloudwatch.MetricAlarm]:
        """Alarms on the checks that are normally healthy, in us-east-1, the only region where Route 53 publishes them.

        They exist only if the stack has a region there, and if that region is lost, they are lost with it.
        """
        return [
            # A new check is unhealthy until its first answers, so one minute alone is no failure.
            region.observability.alarm(f"{self.name}-{_label(key)}-unhealthy", AlarmSpec(
                key=f"{_label(key)}-unhealthy", what=f"Route 53's health check {key} is unhealthy",
                section="unhealthy", namespace="AWS/Route53", metric="HealthCheckStatus",
                dimensions={"HealthCheckId": check.id}, statistic="Minimum", threshold=1,
                comparison="LessThanThreshold"))
            for region in regions if region.names.region == METRICS_REGION
            for key, check in self.checks.items() if key != NORMALLY_UNHEALTHY]
