"""What every twin of a port has to do alike."""
