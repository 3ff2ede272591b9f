"""Installs and finds the engine, runs its jobs in a process of their own, and applies the results to the splat."""
