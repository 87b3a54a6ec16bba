"""What sets up, builds and releases; nothing of it ships."""
