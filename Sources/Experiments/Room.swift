// Experiments: runs a manifest's matrix and compares it with what was recorded.
