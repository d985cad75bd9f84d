"""EMOCA (Danecek et al. 2022): DECA with a second network for the expression, and sometimes the jaw."""
