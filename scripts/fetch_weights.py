"""Third-party weights in the cache, and their checksums."""

from vividface.files import sha256, write_json
from vividface.weights.cache import fetch_group
from vividface.workflow.rule import run_rule

with run_rule(snakemake) as rule:
    files = {name: path for group in rule.config.weights for name, path in fetch_group(group).items()}
    write_json(snakemake.output[0], {name: sha256(path) for name, path in files.items()})
