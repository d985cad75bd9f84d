"""SMIRK (Retsinas et al. 2024): expression and jaw by three small networks, over the codes of a DECA-type encoder."""
