"""Training codes from masks: `sampling` → `model` (render, optimise) → `objectives`; `trainer` runs the loop."""
