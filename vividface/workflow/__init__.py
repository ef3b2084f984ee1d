"""Everything that knows Snakemake or DVC; nothing else in the library does, and nothing else imports it."""
