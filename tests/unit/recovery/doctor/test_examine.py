"""The checks are made with declared calls only, and what each answers decides the exit code."""
from typing import Any

import botocore.session
import pytest
from botocore.stub import Stubber

from recovery.doctor.before import BEFORE
from recovery.doctor.check import Situation, Symptom
from recovery.doctor.deployed import DEPLOYED
from recovery.doctor.examine import PATIENCE, AwsLook, Diagnosis, UndeclaredCall, examine
from recovery.errors import AwsFailure, CommandStopped
from recovery.permissions import DOCTOR
from tests.unit.recovery.doctor.fakes import FINE, NEW, SECRET, Account, FakeLook, cluster, deployment, found, needs
from tests.unit.recovery.fakes import AWAY, HOME, FakeBackground, FakeClock, environment_of, stack

PROBLEM, NOTE = Symptom(problem="p", remedy="r"), Symptom(problem="n", remedy="r", fails=False)


def examined(account: Account, background: FakeBackground | None = None, **subject: Any) -> Diagnosis:
    """What the checks answer in an account."""
    return examine(environment_of(FakeClock(), account.client, background=background),
                   **{"needs": None, "stack": None, **subject})


# --- Which checks are made


def test_before_the_first_deployment_only_what_it_needs_is_looked_at() -> None:
    diagnosis = examined(Account(NEW), needs=needs())
    assert {name for name, _ in diagnosis.answers} == {check.name for check in BEFORE}
    assert {region for name, region in diagnosis.answers if name == "concurrency"} == {HOME, AWAY}
    assert {region for name, region in diagnosis.answers if name == "regions"} == {""}
    assert (diagnosis.code, diagnosis.document()["ok"]) == (0, True)


def test_a_deployed_stack_has_taken_its_names_itself() -> None:
    diagnosis = examined(Account(FINE), needs=needs(), stack=stack())
    assert {name for name, _ in diagnosis.answers} == {
        *(check.name for check in BEFORE if check.unless is not Situation.DEPLOYED),
        *(check.name for check in DEPLOYED)}
    assert diagnosis.code == 0
    assert {name for name, _ in examined(Account(FINE), stack=stack()).answers} == {check.name for check in DEPLOYED}


def test_what_the_next_deployment_makes_good_does_not_prevent_it() -> None:
    different = {**FINE, f"rds:DescribeDBClusters {AWAY}": cluster(AWAY, EngineVersion="17.6")}
    assert examined(Account(different), needs=needs(), stack=stack()).code == 1
    diagnosis = examined(Account(different), needs=needs(), stack=stack(), before_up=True)
    assert diagnosis.code == 0
    assert {name for name, _ in diagnosis.answers} & {check.name for check in DEPLOYED} == {"stack's account", "writer"}


# --- What cannot be looked at


def test_a_region_that_does_not_answer_leaves_its_checks_open() -> None:
    account = Account(NEW)
    account.cut = frozenset({HOME})
    diagnosis = examined(account, needs=needs())
    assert diagnosis.code == 2
    assert str(diagnosis.answers["backup", HOME]).startswith(f"DescribeRegionSettings in {HOME}: Could not connect to ")
    assert diagnosis.answers["backup", AWAY] == []


def test_without_credentials_it_ends_in_one_line() -> None:
    account = Account(NEW)
    account.cut = frozenset({HOME, AWAY})
    with pytest.raises(CommandStopped) as stopped:
        examined(account, needs=needs())
    assert (stopped.value.code, len(stopped.value.reasons)) == (2, 1)
    assert ": sign in to AWS" in stopped.value.reasons[0]


def test_an_answer_that_is_late_is_not_waited_for() -> None:
    background = FakeBackground()
    background.late = lambda key: key[0] == "secret"
    assert examined(Account(NEW), background, needs=needs()).answers["secret", ""] == f"no answer within {PATIENCE:g} s"


# --- What is shown


@pytest.mark.parametrize(("answers", "code"), [
    ([[]], 0), ([[NOTE]], 0), ([[PROBLEM]], 1), ([[NOTE], ["refused"], [PROBLEM]], 1), ([[NOTE], ["refused"]], 2)])
def test_the_exit_code_is_the_worst_that_was_found(answers: list[Any], code: int) -> None:
    known = {(f"check {number}", ""): each[0] if each and isinstance(each[0], str) else each
             for number, each in enumerate(answers)}
    assert Diagnosis(account="1", answers=known).code == code


def test_the_table_begins_with_what_would_fail_and_the_summary_counts() -> None:
    diagnosis = Diagnosis(account="1", answers={
        ("a", HOME): [NOTE], ("b", ""): [PROBLEM], ("c", HOME): "refused", ("c", AWAY): "refused", ("d", ""): []})
    assert diagnosis.rows()[1:] == [["b", "p", "r"], [f"a in {HOME}", "note: n", "r"]]
    assert diagnosis.lines() == [
        f"could not check: c in {HOME}, c in {AWAY}: refused",
        "account 1: 5 checks; 1 would fail, 1 notes, 2 could not be checked"]
    document = diagnosis.document()
    assert [each["check"] for each in document["looked"]] == ["a", "b", "d"]
    assert document["findings"][0] == {"check": "b", "region": "", "problem": "p", "remedy": "r", "fails": True}
    assert document["could_not_look"][0] == {"check": "c", "region": HOME, "why": "refused"}


# --- How AWS is asked


@pytest.fixture(name="stubbed")
def stubbed_logs() -> Any:
    """A client of CloudWatch Logs with canned answers, and what cans them."""
    client = botocore.session.get_session().create_client(
        "logs", region_name=HOME, aws_access_key_id="test", aws_secret_access_key="test")
    with Stubber(client) as stubber:
        yield AwsLook(environment_of(FakeClock(), lambda *_: client)), stubber


def test_all_pages_are_read(stubbed: Any) -> None:
    look, stubber = stubbed
    for token, name in (({}, "one"), ({"nextToken": "2"}, "two")):
        stubber.add_response("describe_log_groups", {
            "logGroups": [{"logGroupName": name}], **({} if token else {"nextToken": "2"})}, token)
    assert [each["logGroupName"] for each in look("logs", "DescribeLogGroups", HOME)["logGroups"]] == ["one", "two"]
    stubber.add_response("describe_log_groups", {}, {})
    assert look("logs", "DescribeLogGroups", HOME)["logGroups"] == []


def test_an_expected_refusal_is_none_and_any_other_a_failure(stubbed: Any) -> None:
    look, stubber = stubbed
    for _ in range(2):
        stubber.add_client_error("describe_log_groups", "ResourceNotFoundException", "no such group")
    assert look("logs", "DescribeLogGroups", HOME, absent=("ResourceNotFoundException",)) is None
    with pytest.raises(AwsFailure, match=f"DescribeLogGroups in {HOME}: ResourceNotFoundException: no such group"):
        look("logs", "DescribeLogGroups", HOME)


def test_a_call_that_is_not_declared_is_never_made(stubbed: Any) -> None:
    look, _ = stubbed
    with pytest.raises(UndeclaredCall, match="logs:DeleteLogGroup"):
        look("logs", "DeleteLogGroup", HOME, logGroupName="x")
    assert look.name_servers("z") == {"z"}


def test_every_declared_call_is_made_and_no_other() -> None:
    everything = needs(domain_name="pay.example.com", hosted_zone_id="Z1", health_checks=5, custom_domains=2,
                       secret_arn=SECRET)
    refusing = {**FINE, "service-quotas:GetServiceQuota": None, "rds:DescribeOrderableDBInstanceOptions": None}
    looks = [FakeLook(FINE), FakeLook(refusing)]
    for look in looks:
        for check in BEFORE:
            found(BEFORE, check.name, look, everything)
        for each in DEPLOYED:
            found(DEPLOYED, each.name, look, deployment())
    before = {"sts:GetCallerIdentity", "s3:GetObject"}  # `recovery.outputs.in_region`, which finds the stack
    assert before.union(*(look.calls for look in looks)) == DOCTOR.keys()
