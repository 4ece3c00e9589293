"""What every host can import, whatever else its tunnel serves."""
