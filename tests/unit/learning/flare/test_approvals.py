"""A site's approvals, the one job they allow, and the policies FLARE reads."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from racoon.domain.coding import Code
from racoon.domain.plan import TrainingPlan
from racoon.learning.engine import EngineJob
from racoon.learning.flare import policy
from racoon.learning.flare.approvals import Approval, Approvals, NotApproved
from racoon.learning.flare.job import CLIENT_CONFIG, site_config, write_job

PLAN = TrainingPlan(name="p", modality="CT", labels=(Code("1", "99T"),))


def _granted(tmp_path) -> Approvals:
    approvals = Approvals(tmp_path / "approvals")
    approvals.grant(Approval(PLAN, ("run-1",), policy.SIGNER, tmp_path / "cases"))
    return approvals


def test_exactly_the_approved_plan_run_and_signer_pass(tmp_path) -> None:
    approvals = _granted(tmp_path)
    assert approvals.require(PLAN.hash, "run-1", policy.SIGNER).cases == tmp_path / "cases"
    other = replace(PLAN, local_steps=PLAN.local_steps + 1)
    for arguments in (
        (other.hash, "run-1", policy.SIGNER),
        (PLAN.hash, "run-2", policy.SIGNER),
        (PLAN.hash, "run-1", "somebody@else.org"),
        ("../../etc/passwd", "run-1", policy.SIGNER),
        ("", "run-1", policy.SIGNER),
    ):
        with pytest.raises(NotApproved):
            approvals.require(*arguments)


def test_second_run_is_added_and_withdrawal_ends_both(tmp_path) -> None:
    approvals = _granted(tmp_path)
    approvals.grant(Approval(PLAN, ("run-2",), policy.SIGNER, tmp_path / "cases"))
    for run_id in ("run-1", "run-2"):
        approvals.require(PLAN.hash, run_id)
    approvals.withdraw(PLAN.hash)
    approvals.withdraw(PLAN.hash)
    with pytest.raises(NotApproved):
        approvals.require(PLAN.hash, "run-1")


def test_tampered_approval_is_no_approval(tmp_path) -> None:
    approvals = _granted(tmp_path)
    path = approvals.folder / f"{PLAN.hash}.json"
    document = json.loads(path.read_text())
    document["plan"]["rounds"] += 1
    path.write_text(json.dumps(document))
    with pytest.raises(NotApproved):
        approvals.require(PLAN.hash, "run-1")


def test_job_has_one_file_for_the_site_and_no_path_of_central_in_it(tmp_path) -> None:
    job = EngineJob("j-0", "run-1", PLAN, ("ALPHA",), 1, 2, tmp_path / "w.safetensors", tmp_path / "run")
    root = write_job(tmp_path / "jobs", job)
    assert root.is_absolute()
    files = [path.relative_to(root / "app_site").as_posix() for path in (root / "app_site").rglob("*.*")]
    assert files == [CLIENT_CONFIG]
    assert json.loads((root / "app_site" / CLIENT_CONFIG).read_text()) == site_config(PLAN, "run-1")
    assert str(tmp_path) not in (root / "app_site" / CLIENT_CONFIG).read_text()
    workflow = json.loads((root / "app_server" / "config" / "config_fed_server.json").read_text())[
        "workflows"
    ][0]
    assert (workflow["args"]["start_round"], workflow["args"]["num_rounds"]) == (2, PLAN.rounds - 2)


def test_policies_forbid_code_and_shell_to_everybody() -> None:
    for rights in policy.authorization()["permissions"].values():
        assert (
            rights["byoc"]
            == rights["shell_commands"]
            == rights["download_job"]
            == rights["operate"]
            == "none"
        )
    resources = policy.site_resources("/approvals", "ALPHA")
    assert resources["class_allow_list"] == [policy.EXECUTOR_CLASS]
    assert resources["class_list_enforcement_mode"] == "enforce"
    assert resources["allow_log_streaming"] is False
