"""The conditioned UNet and the global latent encoder, with the published parameter names."""
