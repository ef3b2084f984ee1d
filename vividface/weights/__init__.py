"""Third-party weights: their sources, licences and checksums, and the local cache."""
