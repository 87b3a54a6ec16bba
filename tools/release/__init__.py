"""What a release is made of, and the proof of each part in a clean place: `make release`."""
