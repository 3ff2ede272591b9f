"""Base classes and helpers that the operators, panels and menus of all features share."""
