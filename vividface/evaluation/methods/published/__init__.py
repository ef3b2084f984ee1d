"""The published methods: one YAML file each, as `description.PublishedMethod` has it."""
