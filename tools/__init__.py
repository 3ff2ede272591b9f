"""Behind build.py."""
