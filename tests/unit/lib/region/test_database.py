"""The members of the global database."""
from tests.unit.lib.recorder import Recording


def test_only_the_writer_has_a_master_login(dev: Recording) -> None:
    # https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-global-database-getting-started.html
    writer, reader = (dev.one("Cluster", f"-{role}-") for role in ("primary", "dr"))
    assert writer.inputs["databaseName"] == "payments"
    assert writer.inputs["masterUsername"] == "ledger_admin"
    assert "masterPassword" in writer.inputs
    assert not {"databaseName", "masterUsername", "masterPassword"} & reader.inputs.keys()
    assert reader.inputs["sourceRegion"] == dev.outputs["primary_region"]


def test_only_serverless_instances_have_a_capacity_that_follows_the_load(dev: Recording, prod: Recording) -> None:
    for program, kind, capacity in ((dev, "db.serverless", {"minCapacity": 0.5, "maxCapacity": 4}),
                                    (prod, "db.r7g.large", None)):
        assert {each.inputs["instanceClass"] for each in program.of("ClusterInstance")} == {kind}
        for cluster in program.of("Cluster"):
            assert cluster.inputs.get("serverlessv2ScalingConfiguration") == capacity


def test_a_change_is_made_by_its_own_update_which_restarts_one_instance_at_a_time(prod: Recording) -> None:
    # Else it waits for a night that AWS chooses: https://github.com/hashicorp/terraform-provider-aws/issues/8350
    assert all(each.inputs["applyImmediately"] is True for kind in ("Cluster", "ClusterInstance")
               for each in prod.of(kind))
    first, second = (each for each in prod.of("ClusterInstance") if "-primary-" in each.name)
    assert first.urn in second.dependencies
