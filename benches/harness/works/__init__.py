"""What Python processes are asked to do: winlayers' side, and that of Python's own tarfile."""
