"""What can be asked of this app's rows; nothing here writes."""
