"""What several tests make or compare with."""
