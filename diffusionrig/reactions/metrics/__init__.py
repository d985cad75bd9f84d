"""The seven measures of the REACT challenge as pure functions of arrays, each as published and mended. See
docs/reactions-metrics.md."""
