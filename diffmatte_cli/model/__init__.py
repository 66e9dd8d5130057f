"""The network: encoders, the diffusion decoder, and their composition."""
