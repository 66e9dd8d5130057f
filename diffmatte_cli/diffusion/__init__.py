"""The mathematics of diffusion, without images or networks: noise schedules and samplers."""
