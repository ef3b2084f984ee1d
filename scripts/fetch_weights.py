"""Third-party weights in the cache, and their checksums."""

from vividface.files import sha256, write_json
from vividface.weights.cache import fetch_groups
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    files = fetch_groups(rule.config.weights, accepted=snakemake.params.get("accepted", []))
    write_json(snakemake.output[0], {name: sha256(path) for name, path in files.items()})
