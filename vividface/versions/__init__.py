"""DVC versions what Snakemake makes: the pipeline that it sees, publishing, restoring."""
