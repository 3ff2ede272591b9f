"""What the operators, panels and menus of all features share."""
