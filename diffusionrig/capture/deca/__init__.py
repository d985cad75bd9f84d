"""DECA (Feng et al. 2021) for those who have its files: a photograph's crop -> FLAME coefficients, camera and light."""
