"""What milestones say of their rules, held against the rules themselves."""

import pytest

from vividface.config import merge_files, validate_config
from vividface.workflow.milestones import MILESTONES, milestone_of


def covers(declared, path):
    return path == declared or path.startswith(f"{declared}/")


@pytest.mark.parametrize("experiment", ["demo", "paper", "study sets"])
def test_milestones_make_and_read_what_their_rules_do(repository, plan, experiment):
    demo = [repository / "configs/demo.yaml"] if experiment == "demo" else []
    values = merge_files([repository / "config.yaml", *demo])
    if experiment == "study sets":
        values["variants"]["by_metric"] = {"title": "t", "selected_by": "metric"}
    config = validate_config(values)
    made = {name: set() for name in MILESTONES}
    read = {name: set() for name in MILESTONES}
    for (rule, *outputs), (_, inputs) in plan(values).items():
        milestone = milestone_of(rule).name
        made[milestone] |= {
            # Third-party weights are brought from their publisher again, not versioned.
            path
            for path in outputs
            if not path.startswith("weights/")
        }
        read[milestone] |= set(inputs)
    # Folders whose files only the downloads know, so that no rule names them.
    made["data"] |= {
        path for path in MILESTONES["data"].outputs(config) if path.endswith(("/videos", "/encoded"))
    }
    everything = set().union(*made.values())
    for name, milestone in MILESTONES.items():
        foreign = (read[name] & everything) - made[name]
        for declared, paths in ((milestone.outputs(config), made[name]), (milestone.inputs(config), foreign)):
            assert [p for p in sorted(paths) if not any(covers(d, p) for d in declared)] == [], name
            assert [d for d in declared if not any(covers(d, p) for p in paths)] == [], name
