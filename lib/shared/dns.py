"""The service's name, and what moves it from one region to the other.

Health checks and answers are Route 53's data plane. Nothing here has to change for a failover: the lever is an object
in the standby's control bucket, which `/takeover` there shows and an inverted check watches.
"""
import pulumi
import pulumi_aws as aws

from lib.component import Component
from lib.region.region import Region
from lib.settings import DnsSettings, HealthCheckSettings, Profile

METRICS_REGION = "us-east-1"


class RegionalDomain(Component):
    """The names under which one region's API answers: the service's, and a host name of the region's own.

    A CNAME straight to the API's own host would fail on TLS and on the Host header. The region's host is what health
    checks ask, since a check of the service's name would follow the failover that it decides.
    """

    def __init__(self, name: str, *, region: Region, service: str, zone_id: pulumi.Input[str],
                 opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(provider=region.provider)))
        self.region = region
        self.host = f"{region.names.region}.{service}"
        self._service, self._zone_id = service, zone_id
        # One wildcard for both hosts: it shares the validation record of the service's own name. Domain names hold on
        # to a certificate, so the next one must be there before the last one goes.
        self.certificate = aws.acm.Certificate(
            f"{name}-certificate", domain_name=service, subject_alternative_names=[f"*.{service}"],
            validation_method="DNS", opts=self.opts(delete_before_replace=False))

    def answer(self, validation: aws.route53.Record) -> aws.apigateway.DomainName:
        """Both custom domain names, once the certificate is valid; gives the service's, for its failover record."""
        valid = aws.acm.CertificateValidation(
            f"{self.name}-valid", certificate_arn=self.certificate.arn, validation_record_fqdns=[validation.fqdn],
            opts=self.opts(delete_before_replace=False))
        own = self._domain("host", self.host, valid)
        aws.route53.Record(f"{self.name}-host-record", zone_id=self._zone_id, name=self.host, type="A",
                           aliases=[alias(own)], opts=self.opts())
        shared = self._domain("service", self._service, valid)
        self.register_outputs({"host": self.host})
        return shared

    def _domain(self, key: str, domain: str, valid: aws.acm.CertificateValidation) -> aws.apigateway.DomainName:
        api = self.region.api
        name = aws.apigateway.DomainName(
            f"{self.name}-{key}", domain_name=domain, regional_certificate_arn=valid.certificate_arn,
            security_policy="TLS_1_2", endpoint_configuration={"types": "REGIONAL"}, opts=self.opts())
        aws.apigateway.BasePathMapping(f"{self.name}-{key}-mapping", rest_api=api.rest.id,
                                       stage_name=api.stage.stage_name, domain_name=name.domain_name, opts=self.opts())
        return name


def alias(domain: aws.apigateway.DomainName) -> aws.route53.RecordAliasArgsDict:
    """An alias to a custom domain. Its target health is not asked: it fails only when all of API Gateway does."""
    return {"name": domain.regional_domain_name, "zone_id": domain.regional_zone_id, "evaluate_target_health": False}


class Dns(Component):
    """Zone (new, or an existing one by id), certificates, host names, health checks and the failover records.

    The primary record is healthy while the primary region answers AND the standby has not taken over. When the
    standby's API is down its inverted check is healthy, so a dead standby never takes the traffic.
    """

    def __init__(self, name: str, *, dns: DnsSettings, health: HealthCheckSettings, profile: Profile,
                 primary: Region, standby: Region, opts: pulumi.ResourceOptions) -> None:
        super().__init__(name, opts)
        self._health = health
        service = dns.domain_name
        if dns.hosted_zone_id is None:
            zone = aws.route53.Zone(f"{name}-zone", name=service, comment=f"TapStack {primary.names.suffix}",
                                    force_destroy=not profile.protect, opts=self.durable(protect=profile.protect))
            self.zone_id: pulumi.Output[str] = zone.zone_id
            self.name_servers: pulumi.Output[list[str]] = zone.name_servers.apply(list)
        else:
            self.zone_id = pulumi.Output.from_input(dns.hosted_zone_id)
            self.name_servers = pulumi.Output.from_input([])
        self.domains = [
            RegionalDomain(f"{name}-{role}", region=region, service=service, zone_id=self.zone_id,
                           opts=pulumi.ResourceOptions(parent=self))
            for role, region in (("primary", primary), ("dr", standby))]
        # Certificates of one name have one validation record in common, whatever their region: it is made once.
        proof = self.domains[0].certificate.domain_validation_options[0]
        validation = aws.route53.Record(
            f"{name}-validation", zone_id=self.zone_id, name=proof.resource_record_name,
            type=proof.resource_record_type, records=[proof.resource_record_value], ttl=60, allow_overwrite=True,
            opts=self.opts())
        self.checks = self._checks(*self.domains)
        for domain, routing in zip(self.domains, ("PRIMARY", "SECONDARY"), strict=True):
            check = self.checks["failover" if routing == "PRIMARY" else "dr"]
            aws.route53.Record(
                f"{name}-{routing.lower()}", zone_id=self.zone_id, name=service, type="A",
                aliases=[alias(domain.answer(validation))], set_identifier=domain.region.names.region,
                failover_routing_policies=[{"type": routing}], health_check_id=check.id, opts=self.opts())
        self.alarms = self._alarms(primary, standby)
        self.register_outputs({"zone_id": self.zone_id})

    def _checks(self, primary: RegionalDomain, standby: RegionalDomain) -> dict[str, aws.route53.HealthCheck]:
        """Liveness of each region, the takeover lever, and the calculation that the primary record hangs on."""
        checks = {
            "primary": self._https("primary", primary, "/health", self._health.threshold),
            "dr": self._https("dr", standby, "/health", self._health.threshold),
            "takeover": self._https("takeover", standby, "/takeover", 1, invert=True),
        }
        checks["failover"] = aws.route53.HealthCheck(
            f"{self.name}-failover-check", type="CALCULATED", child_health_threshold=2,
            child_healthchecks=[checks["primary"].id, checks["takeover"].id],
            tags={"Name": f"{primary.region.names.network}-stays"}, opts=self.opts())
        return checks

    def _https(self, key: str, domain: RegionalDomain, path: str, threshold: int,
               *, invert: bool = False) -> aws.route53.HealthCheck:
        names = domain.region.names
        return aws.route53.HealthCheck(
            f"{self.name}-{key}-check", type="HTTPS", fqdn=domain.host, port=443, resource_path=path,
            request_interval=self._health.interval, failure_threshold=threshold, measure_latency=not invert,
            invert_healthcheck=invert,
            tags={"Name": f"{names.network}-{names.region}-{'takeover' if invert else 'health'}"}, opts=self.opts())

    def _alarms(self, *regions: Region) -> list[aws.cloudwatch.MetricAlarm]:
        """Alarms on the checks, where Route 53 publishes them: only in us-east-1, so only if the stack is there."""
        return [
            aws.cloudwatch.MetricAlarm(
                f"{self.name}-{key}-unhealthy", name=f"{region.names.alarm}-{key}-unhealthy",
                alarm_description=f"Route 53 health check {key} is unhealthy", namespace="AWS/Route53",
                metric_name="HealthCheckStatus", dimensions={"HealthCheckId": check.id}, statistic="Minimum",
                threshold=1, comparison_operator="LessThanThreshold", period=60, evaluation_periods=1,
                treat_missing_data="breaching", alarm_actions=[region.observability.topic.arn],
                ok_actions=[region.observability.topic.arn],
                opts=pulumi.ResourceOptions(parent=region.observability, delete_before_replace=True))
            for region in regions if region.names.region == METRICS_REGION
            for key, check in self.checks.items()]
