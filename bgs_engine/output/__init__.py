"""What is made from a run: label maps and pictures, PLY files, frames of a shot, scores against true labels."""
