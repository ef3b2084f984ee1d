from vividface.assets import fetch_asset
from vividface.assets.catalogue import GROUPS
from vividface.files import sha256, write_json
from vividface.provenance.record import run_rule

with run_rule(snakemake):
    names = [name for group in snakemake.params.assets for name in GROUPS.get(group, [group])]
    write_json(snakemake.output[0], {name: sha256(fetch_asset(name)) for name in names})
